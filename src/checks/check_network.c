#include "checks/both.h"

const struct check_group check_network = {"network", 0, NULL};
