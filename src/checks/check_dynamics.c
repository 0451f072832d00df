#include "checks/both.h"

const struct check_group check_dynamics = {"dynamics", 0, NULL};
