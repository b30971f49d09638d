// Generalised Bellman-Ford message passing for float32 on a CPU: what `propagate.py` calls.
//
// Columns (b, f) of the states do not touch one another, but for the two halves of a rotation. So work is cut into
// blocks of 16 columns. A worker copies its columns of all nodes into a table whose rows are one cache line each,
// walks over the edges by target, and copies what it found to where it belongs. The table is small enough for a near
// cache where the states are not, and nobody writes what another worker writes: gradients need neither atomic
// operations nor the edges in a second order.

#include <algorithm>

#include "reduce.h"

#if defined(_OPENMP)
#include <omp.h>
static long worker() { return omp_get_thread_num(); }
#else
static long worker() { return 0; }
#endif

// Written by `propagate.py`, which must agree on every field.
struct Task {
    int64_t threads, nodes, relations, batch, features, message, aggregate;
    int64_t relation_stride;  // from one sample's relations to the next; 0 where they share them
    const int64_t* begin;     // (N + 1)
    const int32_t* source;    // (E)
    const int32_t* kind;      // (E), or none where there is one relation
    const float* weight;      // (E), or none
    const float* states;      // (N, B, F)
    const float* relation;    // (B or 1, R, F)
    const float* boundary;    // (N, B, F)
    float* out;               // (N, B, F), or (N, B, 4F): mean, highest, lowest, deviation
    int32_t* winners;         // (1 or 2, N, B, F), or none
};

struct Gradients {
    const float* out;
    float* states;    // (N, B, F)
    float* relation;  // (B, R, F)
    float* boundary;  // (N, B, F)
    float* weight;    // (threads, E) of zeros, or none
};

static Walk walk_of(const Task& task, const Table& states, const Table& relations) {
    return {0, 0, task.begin[task.nodes], task.source, task.kind, task.weight, states.data, relations.data};
}

template <class Message>
static void pack(const Task& task, const Lanes& lanes, Table& states, Table& relations) {
    pack_states<Message>(lanes, task.states, task.nodes, task.batch * task.features, task.features, states.data);
    pack_relations<Message>(lanes, task.relation, task.relations, task.features, task.relation_stride,
                            relations.data);
}

// The first target of each of `parts` shares of about as many edges.
static long share(const Task& task, long part, long parts) {
    if (part == parts) return task.nodes;
    const int64_t* end = task.begin + task.nodes;
    return part ? std::lower_bound(task.begin, end, *end * part / parts) - task.begin : 0;
}

template <class Message, bool WEIGHTED>
static void forward_block(const Task& task, const Lanes& lanes, long from, long to, Table& states,
                          Table& relations) {
    pack<Message>(task, lanes, states, relations);
    Walk walk = walk_of(task, states, relations);
    const long F = task.features, size = task.batch * F;
    const bool up = task.aggregate != LOWEST;
    for (long v = from; v < to; v++) {
        walk.first = task.begin[v];
        walk.last = task.begin[v + 1];
        Row boundary = lanes.fetch(task.boundary + v * size, F);
        auto keep = [&](const Index& winner, long which) {
            if (task.winners)
                lanes.put(task.winners + (which * task.nodes + v) * size, F,
                          reinterpret_cast<const int32_t*>(&winner));
        };
        if (task.aggregate == STATISTICS) {
            Statistics found = statistics_of<Message, WEIGHTED>(walk, boundary);
            float* out = task.out + 4 * v * size;
            lanes.put(out, 4 * F, found.mean);
            lanes.put(out + F, 4 * F, found.highest.value);
            lanes.put(out + 2 * F, 4 * F, found.lowest.value);
            lanes.put(out + 3 * F, 4 * F, found.deviation);
            keep(found.highest.winner, 0);
            keep(found.lowest.winner, 1);
        } else if (task.aggregate == TOTAL || task.aggregate == MEAN) {
            Row total = total_of<Message, WEIGHTED>(walk, boundary);
            if (task.aggregate == MEAN) total = total * (1.0f / float(walk.last - walk.first + 1));
            lanes.put(task.out + v * size, F, total);
        } else if (up) {
            Extreme<true> found = extreme_of<Message, WEIGHTED, true>(walk, boundary);
            lanes.put(task.out + v * size, F, found.value);
            keep(found.winner, 0);
        } else {
            Extreme<false> found = extreme_of<Message, WEIGHTED, false>(walk, boundary);
            lanes.put(task.out + v * size, F, found.value);
            keep(found.winner, 0);
        }
    }
}

static Index fetch_winner(const Task& task, const Lanes& lanes, long which, long v) {
    int32_t row[LANES];
    lanes.fetch(task.winners + (which * task.nodes + v) * task.batch * task.features, task.features, row);
    return read(row);
}

static Slope slope_of(const Task& task, const Gradients& gradients, const Lanes& lanes, long v) {
    const long F = task.features, size = task.batch * F;
    const float messages = float(task.begin[v + 1] - task.begin[v] + 1);
    Slope s{zeros(), zeros(), zeros(), zeros(), zeros(), nobody(), nobody()};
    if (task.aggregate != STATISTICS) {
        Row grad = lanes.fetch(gradients.out + v * size, F);
        s.even = task.aggregate == MEAN ? grad * (1 / messages) : grad;
        s.high = grad;
        if (task.aggregate == HIGHEST || task.aggregate == LOWEST) s.highest = fetch_winner(task, lanes, 0, v);
        return s;
    }
    const float *out = task.out + 4 * v * size, *grad = gradients.out + 4 * v * size;
    s.even = lanes.fetch(grad, 4 * F) * (1 / messages);
    s.high = lanes.fetch(grad + F, 4 * F);
    s.low = lanes.fetch(grad + 2 * F, 4 * F);
    s.mean = lanes.fetch(out, 4 * F);
    s.highest = fetch_winner(task, lanes, 0, v);
    s.lowest = fetch_winner(task, lanes, 1, v);
    Row deviation = lanes.fetch(out + 3 * F, 4 * F), pull = lanes.fetch(grad + 3 * F, 4 * F);
    const vec least = all(std::sqrt(LEAST_VARIANCE));
    for (long i = 0; i < PARTS; i++) {
        vec d = deviation.part[i];
        s.slope.part[i] = d <= least ? vec{} : pull.part[i] / (d * messages);
    }
    return s;
}

template <class Message, int KIND, bool WEIGHTED>
static void backward_target(const Walk& walk, const Slope& slope, float* grad_states, float* grad_relations,
                            float* grad_weight) {
    for (long e = walk.first; e < walk.last; e++) {
        call_ahead<Message>(walk, e, walk.states);
        call_ahead<Message>(walk, e, grad_states);
        const float *h = state_of<Message>(walk, e), *w = relation_of<Message>(walk, e);
        Row plain = KIND == STATISTICS || (WEIGHTED && grad_weight) ? Message::of(h, w) : zeros();
        Row grad = gradient_of<KIND>(slope, WEIGHTED ? plain * walk.weight[e] : plain, e);
        if (WEIGHTED) {
            if (grad_weight) grad_weight[e] += sum(grad * plain);
            grad = grad * walk.weight[e];
        }
        Message::back(grad, h, w, grad_states + (h - walk.states), grad_relations + (w - walk.relations));
    }
}

template <class Message, bool WEIGHTED>
static void backward_block(const Task& task, const Gradients& gradients, const Lanes& lanes, Table& states,
                           Table& relations, Table& grad_states, Table& grad_relations) {
    pack<Message>(task, lanes, states, relations);
    grad_states.clear();
    grad_relations.clear();
    Walk walk = walk_of(task, states, relations);
    const long F = task.features, size = task.batch * F;
    float* weight = gradients.weight ? gradients.weight + worker() * walk.end : nullptr;
    for (long v = 0; v < task.nodes; v++) {
        walk.first = task.begin[v];
        walk.last = task.begin[v + 1];
        Slope slope = slope_of(task, gradients, lanes, v);
        Row own;
        if (task.aggregate == STATISTICS) {
            backward_target<Message, STATISTICS, WEIGHTED>(walk, slope, grad_states.data, grad_relations.data, weight);
            own = gradient_of<STATISTICS>(slope, lanes.fetch(task.boundary + v * size, F), -1);
        } else if (task.aggregate == TOTAL || task.aggregate == MEAN) {
            backward_target<Message, TOTAL, WEIGHTED>(walk, slope, grad_states.data, grad_relations.data, weight);
            own = slope.even;
        } else {
            backward_target<Message, HIGHEST, WEIGHTED>(walk, slope, grad_states.data, grad_relations.data, weight);
            own = gradient_of<HIGHEST>(slope, zeros(), -1);
        }
        lanes.put(gradients.boundary + v * size, F, own);
    }
    unpack_states<Message>(lanes, grad_states.data, task.nodes, size, F, gradients.states);
    unpack_relations<Message>(lanes, grad_relations.data, task.relations, F, task.relations * F,
                              gradients.relation);
}

template <class Message, bool WEIGHTED>
static void forward(const Task& task) {
    const long blocks = blocks_of(task.batch, task.features, IN_PAIRS<Message>);
    const long parts = blocks ? (task.threads + blocks - 1) / blocks : 0;
#pragma omp parallel num_threads(task.threads)
    {
        Table states(task.nodes, Message::WIDTH), relations(task.relations, Message::WIDTH);
#pragma omp for schedule(dynamic, 1)
        for (long i = 0; i < blocks * parts; i++) {
            Lanes lanes(i / parts, task.batch, task.features, IN_PAIRS<Message>);
            forward_block<Message, WEIGHTED>(task, lanes, share(task, i % parts, parts),
                                             share(task, i % parts + 1, parts), states, relations);
        }
    }
}

template <class Message, bool WEIGHTED>
static void backward(const Task& task, const Gradients& gradients) {
    const long blocks = blocks_of(task.batch, task.features, IN_PAIRS<Message>);
#pragma omp parallel num_threads(task.threads)
    {
        Table states(task.nodes, Message::WIDTH), relations(task.relations, Message::WIDTH);
        Table grad_states(task.nodes, Message::WIDTH), grad_relations(task.relations, Message::WIDTH);
#pragma omp for schedule(dynamic, 1)
        for (long block = 0; block < blocks; block++) {
            Lanes lanes(block, task.batch, task.features, IN_PAIRS<Message>);
            backward_block<Message, WEIGHTED>(task, gradients, lanes, states, relations, grad_states,
                                              grad_relations);
        }
    }
}

extern "C" {

void netgraph_propagate(const Task* task) {
    const bool weighted = task->weight;
    if (task->message == 0) weighted ? forward<Product, true>(*task) : forward<Product, false>(*task);
    if (task->message == 1) weighted ? forward<Sum, true>(*task) : forward<Sum, false>(*task);
    if (task->message == 2) weighted ? forward<Rotation, true>(*task) : forward<Rotation, false>(*task);
}

void netgraph_propagate_backward(const Task* task, const Gradients* gradients) {
    const bool weighted = task->weight;
    if (task->message == 0)
        weighted ? backward<Product, true>(*task, *gradients) : backward<Product, false>(*task, *gradients);
    if (task->message == 1)
        weighted ? backward<Sum, true>(*task, *gradients) : backward<Sum, false>(*task, *gradients);
    if (task->message == 2)
        weighted ? backward<Rotation, true>(*task, *gradients) : backward<Rotation, false>(*task, *gradients);
}
}
