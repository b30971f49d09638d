// From the statistics of rows to the messages of nodes, and back; the formulas of `netgraph/nn/aggregate.py`.
#pragma once

#include "pass.h"

constexpr float STD_EPS = 1e-6f;

// The joined statistics of one slot, and what its messages are made with.
struct Slot {
    const int64_t* rows;
    long count;
    vec edges, own, mean, squares, highest, lowest;

    Slot(const Plan& plan, const Shape& shape, const float* stats, const float* gates, long slot, long block)
        : rows(plan.slot_rows + plan.slot_begin[slot]),
          count(plan.slot_begin[slot + 1] - plan.slot_begin[slot]) {
        own = gate(gates, slot % plan.nodes, A2, block, shape.blocks) * sign(shape, plan.nodes, slot, block);
        if (!count) return;
        const float* first = stats_of(const_cast<float*>(stats), rows[0], block, shape.blocks);
        mean = load(first), squares = load(first + W), highest = load(first + 2 * W), lowest = load(first + 3 * W);
        edges = all(plan.row_edges[rows[0]]);
        if (count == 1) return;
        mean *= edges;
        for (long i = 1; i < count; i++) {
            const float* row = stats_of(const_cast<float*>(stats), rows[i], block, shape.blocks);
            mean += load(row) * plan.row_edges[rows[i]];
            edges += plan.row_edges[rows[i]];
            squares += load(row + W);
            highest = maximum(highest, load(row + 2 * W));
            lowest = minimum(lowest, load(row + 3 * W));
        }
        mean /= edges;
        for (long i = 0; i < count; i++) {
            vec off = load(stats_of(const_cast<float*>(stats), rows[i], block, shape.blocks)) - mean;
            squares += off * off * plan.row_edges[rows[i]];
        }
    }

    // +1 along the edges; against them -1 on the second half of the features.
    static vec sign(const Shape& shape, long nodes, long slot, long block) {
        vec found = all(1);
        for (long i = 0; i < W; i++)
            if (slot >= nodes && block * W + i >= (shape.hidden + 1) / 2) found[i] = -1;
        return found;
    }

    vec variance() const { return squares / edges; }
    vec deviation() const { return root(variance() * own * own + STD_EPS); }
};

// Calls the statistics of a node's rows, which lie far apart, while others are worked on.
static inline void call_rows(const Plan& plan, const Shape& shape, const float* stats, long node) {
    if (node >= plan.nodes) return;
    for (long slot : {node, plan.nodes + node})
        for (long i = plan.slot_begin[slot]; i < plan.slot_begin[slot + 1]; i++) {
            const float* row = stats + plan.slot_rows[i] * shape.blocks * 4 * W;
            for (long k = 0; k < shape.blocks * 4 * W; k += 16) __builtin_prefetch(row + k, 0, 3);
        }
}

// Messages of one node, (N, 4, blocks, W).
static void aggregate_node(const Plan& plan, const Shape& shape, const float* stats, const float* gates, long node,
                           float* messages) {
    call_rows(plan, shape, stats, node + 2);
    for (long block = 0; block < shape.blocks; block++) {
        vec found[4] = {};
        for (long slot : {node, plan.nodes + node}) {
            Slot s(plan, shape, stats, gates, slot, block);
            if (!s.count) continue;
            vec one = s.own * s.highest, other = s.own * s.lowest;
            found[0] += s.own * s.mean;
            found[1] += s.deviation();
            found[2] += maximum(one, other);
            found[3] += minimum(one, other);
        }
        for (long i = 0; i < 4; i++) store(messages + ((node * 4 + i) * shape.blocks + block) * W, found[i]);
    }
}

// The share of the first of two in the gradient of their extreme: all, half at a tie, or none.
static inline vec share(ivec loses, vec one, vec other) {
    return loses ? vec{} : (one == other ? all(0.5f) : all(1));
}

// Gradient of one node's A2 into `grad_gates` (N, 4, blocks, W), and of the statistics of its rows (R, blocks, 4, W).
static void aggregate_node_gradient(const Plan& plan, const Shape& shape, const float* stats, const float* gates,
                                    const float* grad, long node, float* grad_stats, float* grad_gates) {
    call_rows(plan, shape, stats, node + 2);
    for (long block = 0; block < shape.blocks; block++) {
        vec total = vec{}, back[4];
        for (long i = 0; i < 4; i++) back[i] = gate(grad, node, i, block, shape.blocks);
        for (long slot : {node, plan.nodes + node}) {
            Slot s(plan, shape, stats, gates, slot, block);
            if (!s.count) continue;
            vec variance = s.variance(), root = back[1] / s.deviation();
            vec one = s.own * s.highest, other = s.own * s.lowest;
            vec to_one = back[2] * share(one < other, one, other) + back[3] * share(one > other, one, other);
            vec to_other = back[2] * share(other < one, one, other) + back[3] * share(other > one, one, other);
            total += (back[0] * s.mean + root * variance * s.own + to_one * s.highest + to_other * s.lowest) *
                     Slot::sign(shape, plan.nodes, slot, block);
            vec grad_mean = back[0] * s.own, grad_squares = root * s.own * s.own / (2 * s.edges);
            to_one *= s.own;
            to_other *= s.own;
            if (s.count > 1) {  // an extreme of several rows is shared among those that have it
                vec high = vec{}, low = vec{};
                for (long i = 0; i < s.count; i++) {
                    const float* row = stats_of(const_cast<float*>(stats), s.rows[i], block, shape.blocks);
                    high += one_where(load(row + 2 * W) == s.highest);
                    low += one_where(load(row + 3 * W) == s.lowest);
                }
                to_one /= high;
                to_other /= low;
            }
            for (long i = 0; i < s.count; i++) {
                const float* row = stats_of(const_cast<float*>(stats), s.rows[i], block, shape.blocks);
                float* to = stats_of(grad_stats, s.rows[i], block, shape.blocks);
                float edges = plan.row_edges[s.rows[i]];
                vec mean = grad_mean * (edges / s.edges) + 2 * edges * grad_squares * (load(row) - s.mean);
                ivec all_of_it = ivec{} == ivec{};
                write_stats(to, s.count > 1 ? mean : grad_mean, grad_squares,
                            to_one * one_where(s.count > 1 ? load(row + 2 * W) == s.highest : all_of_it),
                            to_other * one_where(s.count > 1 ? load(row + 3 * W) == s.lowest : all_of_it));
            }
        }
        store(grad_gates + ((node * 4 + A2) * shape.blocks + block) * W, total);
    }
}

// Gradients of A1, A3, A4 of a node from those of its rows, (R, blocks, 3, W).
static void collect_node_gradient(const Plan& plan, const Shape& shape, const float* grad_rows, long node,
                                  float* grad_gates) {
    for (long block = 0; block < shape.blocks; block++) {
        vec found[3] = {};
        for (long slot : {node, plan.nodes + node})
            for (long i = plan.slot_begin[slot]; i < plan.slot_begin[slot + 1]; i++)
                for (long k = 0; k < 3; k++)
                    found[k] += load(grad_rows + ((plan.slot_rows[i] * shape.blocks + block) * 3 + k) * W);
        for (long k = 0; k < 3; k++)
            store(grad_gates + ((node * 4 + (k ? k + 1 : 0)) * shape.blocks + block) * W, found[k]);
    }
}
