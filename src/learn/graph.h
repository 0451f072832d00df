/* A frame as the response network reads it (theory.md section 7): the particles around a rank's own, and who is near
 * whom. It depends on positions alone, so it is made once and serves all propulsions that training and probes try. */
#ifndef EPFLOW_LEARN_GRAPH_H
#define EPFLOW_LEARN_GRAPH_H

#include "base/config.h"
#include "space/neighbours.h"

/* Nodes are numbered from the rank's own particles outwards: first the owned ones in their order, then ghosts by their
 * distance from this rank's box. So what a layer computes is always the first so many nodes. */
struct graph {
    const struct ops *ops;
    struct response_law law;
    int layers;
    size_t nodes; /* all of them */
    size_t
        level[RESPONSE_LAYERS + 1]; /* level[k]: nodes within k edge radii of this rank's box; [0]: owned */
    size_t swept;                   /* nodes that sweeps move; 0 without sweeps */
    size_t moving;                  /* nodes whose velocity is needed, by shots or sweeps */
    uint32_t *local;                /* (nodes) device: their local numbers */
    struct edges edges;             /* device; of the first level[layers] nodes */
    struct contacts contacts;       /* device; of the first `swept` nodes */
    real *stiffness, *kappa,
        *phi; /* (level[layers]) device: (1/d) sum_j [kn + (d-1) kt], kappa, local packing */
    double *push[MAX_DIMENSION]; /* (moving) device: F/v0 */
    uint32_t *start_host;        /* (level[layers] + 1) host: edges.start */
};

/* How far from a rank's box its halo must reach: of nodes' forces, and of the local packing fraction. */
double graph_reach(const struct response_parameters *p, const struct system_parameters *s);

/* About the sizes that the graph of a rank has of particles that fill the box evenly; its arrays are NULL. And the bytes
 * of a graph of such sizes. */
void graph_expect(const struct domain *domain, double particles, double owned,
                  const struct response_parameters *p, const struct system_parameters *s, struct graph *out);
double graph_bytes(const struct graph *graph);

/* From particles whose halo reaches graph_reach. Fails (STATUS_BAD_INPUT) where the box is too small for two particles
 * to have one shortest distance each within the radii of p. Not collective. */
enum status graph_create(const struct particles *particles, const struct domain *domain,
                         const struct response_parameters *p, const struct system_parameters *s,
                         struct graph **out);
void graph_destroy(struct graph **graph);

/* The edges of receivers begin ..., at most `edges` receivers that have together at most as many edges, but at least
 * one, and none from `end` on. */
struct edge_range graph_range(const struct graph *graph, size_t begin, size_t end, size_t edges);

#endif
