#include "checks/both.h"

const struct check_group check_windows = {"windows", 0, NULL};
