// Rows of 16 numbers, one cache line, and which columns of the states stand in them.
#pragma once

#include <cstdlib>
#include <cstring>
#include <new>

#include "vectors.h"

constexpr long LANES = 16;
constexpr long PARTS = LANES / W;

struct Row {
    vec part[PARTS];
};

struct Index {
    ivec part[PARTS];
};

#define EACH(expression)                             \
    Row found;                                       \
    for (long i = 0; i < PARTS; i++) found.part[i] = (expression); \
    return found

static inline Row operator+(Row a, Row b) { EACH(a.part[i] + b.part[i]); }
static inline Row operator-(Row a, Row b) { EACH(a.part[i] - b.part[i]); }
static inline Row operator*(Row a, Row b) { EACH(a.part[i] * b.part[i]); }
static inline Row operator*(Row a, float b) { EACH(a.part[i] * b); }
static inline Row read(const float* p) { EACH(load(p + i * W)); }
static inline Row zeros() { EACH(vec{}); }
static inline Row root(Row a) { EACH(root(a.part[i])); }
static inline Row at_least(Row a, float least) { EACH(a.part[i] < all(least) ? all(least) : a.part[i]); }
static inline Row where_equal(Index a, int32_t b, Row value) { EACH(a.part[i] == (b - ivec{}) ? value.part[i] : vec{}); }

#undef EACH

static inline void write(float* p, Row a) {
    for (long i = 0; i < PARTS; i++) store(p + i * W, a.part[i]);
}

static inline void add(float* p, Row a) { write(p, read(p) + a); }

static inline float sum(Row a) {
    vec total = a.part[0];
    for (long i = 1; i < PARTS; i++) total += a.part[i];
    return sum(total);
}

static inline Index read(const int32_t* p) {
    Index found;
    std::memcpy(&found, p, sizeof found);
    return found;
}

static inline Index nobody() {
    Index found;
    for (long i = 0; i < PARTS; i++) found.part[i] = ivec{} - 1;
    return found;
}

// Rows in memory of their own.
struct Table {
    float* data;
    size_t size;

    explicit Table(long rows, long width = LANES) : size(size_t(rows ? rows : 1) * width * sizeof(float)) {
        data = static_cast<float*>(std::aligned_alloc(64, size));
        if (!data) throw std::bad_alloc();
    }
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;
    ~Table() { std::free(data); }
    void clear() { std::memset(data, 0, size); }
};

// Which columns (b, f) stand in the lanes of a block; in a rotation those of real parts, then of imaginary parts.
struct Lanes {
    long sample[LANES], feature[LANES];
    bool used[LANES];
    bool near = true;  // whether they lie side by side in memory

    Lanes(long block, long batch, long features, bool pairs) {
        long half = features / 2, kinds = pairs ? half : features, step = pairs ? LANES / 2 : LANES;
        for (long i = 0; i < LANES; i++) {
            long column = block * step + i % step;
            used[i] = column < batch * kinds;
            sample[i] = used[i] ? column / kinds : 0;
            feature[i] = used[i] ? column % kinds + (i >= step ? half : 0) : 0;
            near = near && used[i] && sample[i] == sample[0] && feature[i] == feature[0] + i;
        }
    }

    // A row from (batch, features), the samples `stride` apart.
    template <class T>
    void fetch(const T* from, long stride, T* row) const {
        if (near) {
            std::memcpy(row, from + sample[0] * stride + feature[0], LANES * sizeof(T));
            return;
        }
        for (long i = 0; i < LANES; i++) row[i] = used[i] ? from[sample[i] * stride + feature[i]] : T(0);
    }

    Row fetch(const float* from, long stride) const {
        float row[LANES];
        fetch(from, stride, row);
        return read(row);
    }

    template <class T>
    void put(T* to, long stride, const T* row) const {
        if (near) {
            std::memcpy(to + sample[0] * stride + feature[0], row, LANES * sizeof(T));
            return;
        }
        for (long i = 0; i < LANES; i++)
            if (used[i]) to[sample[i] * stride + feature[i]] = row[i];
    }

    void put(float* to, long stride, Row row) const {
        float numbers[LANES];
        write(numbers, row);
        put(to, stride, numbers);
    }
};

static inline long blocks_of(long batch, long features, bool pairs) {
    long columns = batch * (pairs ? features / 2 : features), step = pairs ? LANES / 2 : LANES;
    return (columns + step - 1) / step;
}
