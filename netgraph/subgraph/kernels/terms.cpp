// A term of a layer between its two linear maps, for a CPU: what `terms.py` calls.
//
//     z = (1 + eps) y + a(y),   r = ReLU( z gain + shift )
//
// where gain and shift are those of a batch norm. Rows that an aggregation mixes form a group: the pairs of one node
// u, or of one node v. A group fits a near cache and touches no other, so z is made again wherever it is needed, from
// y alone, and workers share nothing but the sums of their rows, which are added up in a fixed order. A call does a
// range of groups, whose rows are a range too.

#include <algorithm>
#include <cstdint>
#include <vector>

constexpr int64_t ROWS = 64;  // in a group where none is mixed with another

enum Kind : int64_t { OWN, NEIGHBOURS, TOTAL, DIAGONAL };

// Written by `terms.py`, which must agree on every field.
struct Task {
    int64_t threads, features, kind, wide;           // wide: float64, else float32
    int64_t from_group, to_group, from_row, to_row;  // the range; all pointers are to row or group 0
    double scale;               // 1 + eps
    const int64_t* begin;       // (groups + 1), members of each group; none where each has ROWS from `from_row` on
    const int64_t* row;         // row of each member; none where they are in order
    const int64_t* node;        // node of each member, if each group has all nodes of a graph in order
    const int64_t* near_begin;  // (nodes + 1), neighbours of each node, likewise
    const int64_t* near;
    const int32_t* ends;        // else (rows + 1), the neighbours of each row
    const int32_t* pair;
    const int64_t* diagonal;    // (groups), a row of each group; none where they have none
    const void* y;              // (rows, features)
    const void* gain;           // (features)
    const void* shift;          // (features)
    const void* mean;           // (features)
    void* out;                  // (rows, features): r
    double* sums;               // (2, features), added to

    int64_t start(int64_t group) const { return begin ? begin[group] : std::min(from_row + group * ROWS, to_row); }
};

// With g the gradient after the ReLU where that let it pass: before the norm it is g a + z b + c.
struct Gradient {
    const void* a;  // (features), as b and c
    const void* b;
    const void* c;
    const void* grad;  // (rows, features): after the ReLU
    void* into;        // (rows, features): before the aggregation; may be `grad`
    double* scale;     // (2, features), added to: of 1 + eps, a sum over what the first half gets
};

// Numbers side by side, in the vector extension of GCC and Clang.
template <class T>
struct Lanes {
    typedef T type __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
};

template <class P, class T>
static inline P get(const T* from) { return *reinterpret_cast<const P*>(from); }

template <class P, class T>
static inline void put(T* to, P value) { *reinterpret_cast<P*>(to) = value; }

// Calls `each(f, x)` for every feature, x telling the type of what begins there: many at once, then the rest one by one.
template <class T, class Do>
static inline void columns(int64_t features, Do each) {
    using P = typename Lanes<T>::type;
    constexpr int64_t wide = sizeof(P) / sizeof(T);
    int64_t f = 0;
    for (; f + wide <= features; f += wide) each(f, P{});
    for (; f < features; f++) each(f, T{});
}

template <class T>
struct Term {
    const Task& task;
    const int64_t features;
    std::vector<T> z, shared;
    std::vector<const T*> sources;
    const T* grad = nullptr;  // read besides y
    T* out = nullptr;         // written

    explicit Term(const Task& task) : task(task), features(task.features), z(features), shared(features) {}

    int64_t row(int64_t member) const { return task.row ? task.row[member] : member; }
    const T* y(int64_t member) const { return static_cast<const T*>(task.y) + row(member) * features; }

    // The neighbours of a member of a group, as members.
    template <class Do>
    void neighbours(int64_t group, int64_t member, Do each) const {
        const int64_t begin = task.start(group);
        if (task.near) {
            const int64_t shift = begin - task.node[begin], node = task.node[member];
            for (int64_t i = task.near_begin[node]; i < task.near_begin[node + 1]; i++) each(shift + task.near[i]);
        } else {
            const int64_t at = row(member);
            for (int64_t i = task.ends[at]; i < task.ends[at + 1]; i++)
                each(task.row ? task.row[task.pair[i]] : task.pair[i]);  // being transposed is its own inverse
        }
    }

    // Calls `use(member, z)` for all members of a group. `state(member)` is y, or a gradient if `transposed`.
    template <class State, class Use>
    void mix(int64_t group, bool transposed, State state, Use use) {
        const int64_t begin = task.start(group), end = task.start(group + 1);
        const int64_t middle = task.diagonal && end > begin ? task.diagonal[group] : -1;
        if (task.kind == TOTAL || (task.kind == DIAGONAL && transposed)) {
            sources.clear();
            for (int64_t member = begin; member < end; member++) sources.push_back(state(member));
            add(nullptr, T(0), shared.data());
        }
        for (int64_t member = begin; member < end; member++) {
            const T* own = state(member);
            if (!transposed) fetch(member + end - begin);
            sources.clear();
            if (task.kind == NEIGHBOURS)
                neighbours(group, member, [&](int64_t other) { sources.push_back(state(other)); });
            else if (task.kind == TOTAL || (task.kind == DIAGONAL && transposed && row(member) == middle))
                sources.push_back(shared.data());
            else if (task.kind == DIAGONAL && !transposed && middle >= 0)
                sources.push_back(static_cast<const T*>(task.y) + middle * features);
            if (sources.empty() && task.scale == 1) {
                use(member, own);
            } else {
                add(own, T(task.scale), z.data());
                use(member, static_cast<const T*>(z.data()));
            }
        }
    }

    // Ask for rows of the next group, whose order the machine cannot foresee. GCC drops calls of functions that do
    // no more than that, so it must not be one.
    __attribute__((always_inline)) void fetch(int64_t member) const {
        if (task.kind == OWN || member >= task.to_row) return;
        const int64_t at = row(member) * features;
        for (int64_t f = 0; f < features; f += 64 / int64_t(sizeof(T))) {
            __builtin_prefetch(static_cast<const T*>(task.y) + at + f);
            if (grad) __builtin_prefetch(grad + at + f);
            if (out) __builtin_prefetch(out + at + f, 1);
        }
    }

    // scale own + the sum of all sources.
    void add(const T* own, T scale, T* to) const {
        using P = typename Lanes<T>::type;
        constexpr int64_t wide = sizeof(P) / sizeof(T), span = 3 * wide;
        int64_t f = 0;
        for (; f + span <= features; f += span) {  // what a few registers hold, so that additions need not wait
            P one{}, two{}, three{};
            if (own) {
                one = get<P>(own + f) * scale;
                two = get<P>(own + f + wide) * scale;
                three = get<P>(own + f + 2 * wide) * scale;
            }
            for (const T* source : sources) {
                one += get<P>(source + f);
                two += get<P>(source + f + wide);
                three += get<P>(source + f + 2 * wide);
            }
            put<P>(to + f, one);
            put<P>(to + f + wide, two);
            put<P>(to + f + 2 * wide, three);
        }
        columns<T>(features - f, [&](int64_t rest, auto sum) {
            using P = decltype(sum);
            if (own) sum = get<P>(own + f + rest) * scale;
            for (const T* source : sources) sum += get<P>(source + f + rest);
            put<P>(to + f + rest, sum);
        });
    }
};

// Sums over many rows: of a few in the type of the rows, and of these in float64.
template <class T>
struct Sums {
    double* total;
    const int64_t features;
    int64_t rows = 0;
    std::vector<T> few = std::vector<T>(2 * features);

    T* next() {
        if (rows++ == ROWS) flush();
        return few.data();
    }
    void flush() {
        for (int64_t i = 0; i < 2 * features; i++) total[i] += few[i], few[i] = 0;
        rows = 1;
    }
    ~Sums() { flush(); }
};

// Each worker has its groups, about as many rows as any other, and its own sums.
template <class Do>
static void share(const Task& task, int64_t columns, double* sums, Do each) {
    const int64_t threads = std::max<int64_t>(task.threads, 1);
    std::vector<double> own(threads * columns, 0.0);
    auto first = [&](int64_t part) {
        const int64_t groups = task.to_group - task.from_group;
        if (part == 0 || part == threads) return part ? task.to_group : task.from_group;
        if (!task.begin) return task.from_group + groups * part / threads;
        const int64_t row = task.from_row + (task.to_row - task.from_row) * part / threads;
        return std::lower_bound(task.begin + task.from_group, task.begin + task.to_group, row) - task.begin;
    };
    auto work = [&](int64_t part) { each(first(part), first(part + 1), own.data() + part * columns); };
#if defined(_OPENMP)
#pragma omp parallel for num_threads(threads) schedule(static, 1)
#endif
    for (int64_t part = 0; part < threads; part++) work(part);
    for (int64_t i = 0; i < threads * columns; i++) sums[i % columns] += own[i];
}

// Sums of z - mean and of its square, for a mean that is roughly right.
template <class T>
static void statistics(const Task& task) {
    const int64_t features = task.features;
    share(task, 2 * features, task.sums, [&](int64_t from, int64_t to, double* total) {
        Term<T> term(task);
        Sums<T> sums{total, features};
        const T* mean = static_cast<const T*>(task.mean);
        for (int64_t group = from; group < to; group++)
            term.mix(group, false, [&](int64_t m) { return term.y(m); }, [&](int64_t, const T* z) {
                T* sum = sums.next();
                T* square = sum + features;
                columns<T>(features, [&](int64_t f, auto zero) {
                    using P = decltype(zero);
                    const P value = get<P>(z + f) - get<P>(mean + f);
                    put<P>(sum + f, get<P>(sum + f) + value);
                    put<P>(square + f, get<P>(square + f) + value * value);
                });
            });
    });
}

template <class T>
static void activation(const Task& task) {
    const int64_t features = task.features;
    share(task, 0, nullptr, [&](int64_t from, int64_t to, double*) {
        Term<T> term(task);
        term.out = static_cast<T*>(task.out);
        const T *gain = static_cast<const T*>(task.gain), *shift = static_cast<const T*>(task.shift);
        for (int64_t group = from; group < to; group++)
            term.mix(group, false, [&](int64_t m) { return term.y(m); }, [&](int64_t member, const T* z) {
                T* out = term.out + term.row(member) * features;
                columns<T>(features, [&](int64_t f, auto zero) {
                    using P = decltype(zero);
                    const P value = get<P>(z + f) * get<P>(gain + f) + get<P>(shift + f);
                    put<P>(out + f, value < zero ? zero : value);
                });
            });
    });
}

// Sums of the gradient where the ReLU let it pass, and of that times z - mean; r besides, if it is asked for.
template <class T>
static void gradient_sums(const Task& task, const Gradient& gradient) {
    const int64_t features = task.features;
    share(task, 2 * features, task.sums, [&](int64_t from, int64_t to, double* total) {
        Term<T> term(task);
        term.grad = static_cast<const T*>(gradient.grad);
        Sums<T> sums{total, features};
        term.out = static_cast<T*>(task.out);
        std::vector<T> spare(features);
        const T *gain = static_cast<const T*>(task.gain), *shift = static_cast<const T*>(task.shift);
        const T* mean = static_cast<const T*>(task.mean);
        for (int64_t group = from; group < to; group++)
            term.mix(group, false, [&](int64_t m) { return term.y(m); }, [&](int64_t member, const T* z) {
                const int64_t at = term.row(member) * features;
                const T* grad = term.grad + at;
                T* out = term.out ? term.out + at : spare.data();
                T* sum = sums.next();
                T* product = sum + features;
                columns<T>(features, [&](int64_t f, auto zero) {
                    using P = decltype(zero);
                    const P own = get<P>(z + f), value = own * get<P>(gain + f) + get<P>(shift + f);
                    const P passed = value <= zero ? zero : get<P>(grad + f);
                    put<P>(out + f, value < zero ? zero : value);
                    put<P>(sum + f, get<P>(sum + f) + passed);
                    put<P>(product + f, get<P>(product + f) + passed * (own - get<P>(mean + f)));
                });
            });
    });
}

// The gradient before the aggregation, and that of 1 + eps.
template <class T>
static void gradient_rows(const Task& task, const Gradient& gradient) {
    const int64_t features = task.features;
    share(task, 2 * features, gradient.scale, [&](int64_t from, int64_t to, double* total) {
        Term<T> term(task);
        term.grad = static_cast<const T*>(gradient.grad);
        Sums<T> sums{total, features};
        std::vector<T> inner;
        const T *gain = static_cast<const T*>(task.gain), *shift = static_cast<const T*>(task.shift);
        const T *a = static_cast<const T*>(gradient.a), *b = static_cast<const T*>(gradient.b);
        const T* c = static_cast<const T*>(gradient.c);
        for (int64_t group = from; group < to; group++) {
            const int64_t begin = task.start(group);
            inner.resize(std::max<size_t>(inner.size(), (task.start(group + 1) - begin) * features));
            term.mix(group, false, [&](int64_t m) { return term.y(m); }, [&](int64_t member, const T* z) {
                const T* grad = term.grad + term.row(member) * features;
                T* to = inner.data() + (member - begin) * features;
                columns<T>(features, [&](int64_t f, auto zero) {
                    using P = decltype(zero);
                    const P own = get<P>(z + f), value = own * get<P>(gain + f) + get<P>(shift + f);
                    const P passed = value <= zero ? zero : get<P>(grad + f);
                    put<P>(to + f, passed * get<P>(a + f) + own * get<P>(b + f) + get<P>(c + f));
                });
            });
            auto state = [&](int64_t m) { return static_cast<const T*>(inner.data() + (m - begin) * features); };
            term.mix(group, true, state, [&](int64_t member, const T* before) {
                const T* y = term.y(member);
                const T* own = state(member);
                T* to = static_cast<T*>(gradient.into) + term.row(member) * features;
                T* sum = sums.next();
                columns<T>(features, [&](int64_t f, auto zero) {
                    using P = decltype(zero);
                    put<P>(to + f, get<P>(before + f));
                    put<P>(sum + f, get<P>(sum + f) + get<P>(own + f) * get<P>(y + f));
                });
            });
        }
    });
}

extern "C" {
void netgraph_term_statistics(const Task* task) {
    task->wide ? statistics<double>(*task) : statistics<float>(*task);
}

void netgraph_term_activation(const Task* task) {
    task->wide ? activation<double>(*task) : activation<float>(*task);
}

void netgraph_term_gradient_sums(const Task* task, const Gradient* gradient) {
    task->wide ? gradient_sums<double>(*task, *gradient) : gradient_sums<float>(*task, *gradient);
}

void netgraph_term_gradient_rows(const Task* task, const Gradient* gradient) {
    task->wide ? gradient_rows<double>(*task, *gradient) : gradient_rows<float>(*task, *gradient);
}
}
