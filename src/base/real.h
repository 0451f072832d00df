/* The precision of networks and pair forces: float32, or float64 in the build that the tests compare
 * with reference data. State of the dynamics (positions, propulsion) does not depend on it. */
#ifndef EPFLOW_BASE_REAL_H
#define EPFLOW_BASE_REAL_H

#ifdef EPFLOW_FLOAT64
typedef double real;
#else
typedef float real;
#endif

enum { MAX_DIMENSION = 3 };

#endif
