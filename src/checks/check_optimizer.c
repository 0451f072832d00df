#include "checks/both.h"

const struct check_group check_optimizer = {"optimizer", 0, NULL};
