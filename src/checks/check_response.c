#include "checks/both.h"

const struct check_group check_response = {"response", 0, NULL};
