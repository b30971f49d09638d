// One layer's work on a tile, backward; the formulas of `netgraph/nn/edge_gradient.py`.
#pragma once

#include "pass.h"

// The extremes of a row under way, and how many edges attain them.
struct Ties {
    vec highest = all(-INF), lowest = all(INF), at_highest = vec{}, at_lowest = vec{};

    void add(vec u) {
        at_highest = u > highest ? all(1) : at_highest + one_where(u == highest);
        at_lowest = u < lowest ? all(1) : at_lowest + one_where(u == lowest);
        highest = higher(highest, u);
        lowest = lower(lowest, u);
    }
};

// What a message gets back through the four statistics of its row.
struct Back {
    vec constant, slope, center, highest, lowest, to_highest, to_lowest;

    Back() = default;
    Back(const float* stats, const float* grad, const Ties& ties, long edges)
        : constant(load(grad) / float(edges)),
          slope(2 * load(grad + W)),
          center(load(stats)),
          highest(ties.highest),
          lowest(ties.lowest),
          to_highest(load(grad + 2 * W) / ties.at_highest),
          to_lowest(load(grad + 3 * W) / ties.at_lowest) {}

    vec operator()(vec u) const {
        return constant + (u - center) * slope + one_where(u == highest) * to_highest +
               one_where(u == lowest) * to_lowest;
    }
};

// A column: its gates, what its messages get back, and the gradients of the gates.
struct Column {
    vec first, third, fourth, grad_first, grad_third, grad_fourth;
    Ties ties;
    Back back;
};

struct GradientRoom {
    std::vector<vec> state;
    std::vector<Column> columns;
    Growth growth;

    explicit GradientRoom(const Plan& plan) : columns(plan.most_sources) {}
};

struct TileGradient {
    const Plan& plan;
    const Shape& shape;
    const Encoder& encoder;
    const float* const* gates;  // of this layer and of all before it
    long layer;
    const float* stats;
    const float* grad_stats;
    float* grad;       // of the next state; becomes that of the present one
    float* grad_rows;  // of A1, A3, A4 of every row, (R, blocks, 3, W)

    vec of(long row, long which, long block) const {
        return gate(gates[layer], plan.row_node[row], which, block, shape.blocks);
    }

    Back back_of(long row, const Ties& ties, long edges, long block) const {
        return Back(stats_of(const_cast<float*>(stats), row, block, shape.blocks),
                    stats_of(const_cast<float*>(grad_stats), row, block, shape.blocks), ties, edges);
    }

    void write(long row, long block, vec first, vec third, vec fourth) const {
        float* to = grad_rows + (row * shape.blocks + block) * 3 * W;
        store(to, first);
        store(to + W, third);
        store(to + 2 * W, fourth);
    }

    void run(const Tile& t, long block, GradientRoom& room) const {
        room.growth.gather(plan, t, gates, layer, block, shape.blocks);
        if (long(room.state.size()) < t.targets * t.sources) room.state.resize(t.targets * t.sources);
        float* e = reinterpret_cast<float*>(room.state.data());
        for (long d = 0; d < t.targets; d++) {
            encode(plan, encoder, t, d, block, shape.blocks, e + d * t.sources * W);
            room.growth.apply(t, layer, d, e + d * t.sources * W);
        }
        float* g = sheet_of(grad, t, block, shape.blocks);
        if (t.loop) return run_loop(t, block, e, g);
        Column* __restrict columns = room.columns.data();
        for (long s = 0; s < t.sources; s++)
            columns[s] = {of(t.source_row + s, A1, block), of(t.source_row + s, A3, block),
                          of(t.source_row + s, A4, block), vec{}, vec{}, vec{}, Ties(), Back()};
        // Extremes of columns must be known before any row is done.
        for (long d = 0; d < t.targets; d++) {
            vec own = of(t.target_row + d, A1, block);
            for (long s = 0; s < t.sources; s++) {
                Ties ties = columns[s].ties;
                ties.add(load(e + (d * t.sources + s) * W) * own);
                columns[s].ties = ties;
            }
        }
        for (long s = 0; s < t.sources; s++)
            columns[s].back = back_of(t.source_row + s, columns[s].ties, t.targets, block);
        for (long d = 0; d < t.targets; d++)
            row(t, block, d, e + d * t.sources * W, g + d * t.sources * W, columns);
        for (long s = 0; s < t.sources; s++)
            write(t.source_row + s, block, columns[s].grad_first, columns[s].grad_third, columns[s].grad_fourth);
    }

    void row(const Tile& t, long block, long d, const float* e, float* __restrict g,
             Column* __restrict columns) const {
        Ties ties;
        for (long s = 0; s < t.sources; s++) ties.add(load(e + s * W) * columns[s].first);
        const Back along = back_of(t.target_row + d, ties, t.sources, block);
        vec own = of(t.target_row + d, A1, block);
        vec third = of(t.target_row + d, A3, block), fourth = of(t.target_row + d, A4, block);
        vec grad_first = vec{}, grad_third = vec{}, grad_fourth = vec{};
        for (long s = 0; s < t.sources; s++) {
            Column& c = columns[s];
            vec u = load(e + s * W), grad_next = load(g + s * W);
            vec into = along(u * c.first), onto = c.back(u * own), scaled = u * grad_next;
            grad_first += onto * u;
            grad_third += scaled * c.fourth;
            grad_fourth += scaled * c.third;
            store(g + s * W,
                  grown(grad_next, third, fourth, c.third, c.fourth) + into * c.first + onto * own);
            c.grad_first += into * u;
            c.grad_third += scaled * fourth;
            c.grad_fourth += scaled * third;
        }
        write(t.target_row + d, block, grad_first, grad_third, grad_fourth);
    }

    // Both ways reduce the same messages: their gradients add up.
    void run_loop(const Tile& t, long block, const float* sheet, float* grads) const {
        for (long d = 0; d < t.targets; d++) {
            const float* e = sheet + d * t.sources * W;
            float* g = grads + d * t.sources * W;
            vec own = of(t.target_row + d, A1, block);
            vec third = of(t.target_row + d, A3, block), fourth = of(t.target_row + d, A4, block);
            Ties ties;
            for (long s = 0; s < t.sources; s++) ties.add(load(e + s * W) * own);
            Back into = back_of(t.target_row + d, ties, t.sources, block);
            Back onto = back_of(t.source_row + d, ties, t.sources, block);
            vec first = vec{}, scaled = vec{};
            for (long s = 0; s < t.sources; s++) {
                vec u = load(e + s * W), grad_next = load(g + s * W);
                vec both = into(u * own) + onto(u * own);
                first += both * u;
                scaled += u * grad_next;
                store(g + s * W, grown(grad_next, third, fourth, third, fourth) + both * own);
            }
            write(t.target_row + d, block, first, 2 * scaled * fourth, 2 * scaled * third);
            write(t.source_row + d, block, vec{}, vec{}, vec{});
        }
    }
};
