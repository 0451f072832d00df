/* What shells complete after epflow, from the tables of the command line. To standard output. */
#ifndef EPFLOW_COMMANDS_COMPLETION_H
#define EPFLOW_COMMANDS_COMPLETION_H

void completion_bash(void);
void completion_zsh(void);
void completion_fish(void);

#endif
