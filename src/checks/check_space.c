#include "checks/both.h"

const struct check_group check_space = {"space", 0, NULL};
