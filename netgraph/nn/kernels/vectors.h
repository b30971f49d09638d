// Vectors of floats as wide as the machine's registers, in the vector extension of GCC and Clang.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__AVX512F__)
constexpr long W = 16;
#elif defined(__AVX__)
constexpr long W = 8;
#else
constexpr long W = 4;
#endif

typedef float vec __attribute__((vector_size(W * 4)));
typedef int32_t ivec __attribute__((vector_size(W * 4)));
typedef float memory_vec __attribute__((vector_size(W * 4), aligned(4), may_alias));

constexpr float INF = std::numeric_limits<float>::infinity();

static inline vec load(const float* p) { return *reinterpret_cast<const memory_vec*>(p); }
static inline void store(float* p, vec v) { *reinterpret_cast<memory_vec*>(p) = v; }
static inline vec all(float x) { return x - vec{}; }

// The second operand where either is NaN, as one instruction has it.
static inline vec higher(vec a, vec b) { return a > b ? a : b; }
static inline vec lower(vec a, vec b) { return a < b ? a : b; }

// NaN where either is NaN, as torch has it.
static inline vec maximum(vec a, vec b) { return ((a > b) | (a != a)) ? a : b; }
static inline vec minimum(vec a, vec b) { return ((a < b) | (a != a)) ? a : b; }

static inline vec one_where(ivec mask) { return mask ? all(1) : vec{}; }

static inline bool any(ivec mask) {
    int32_t found = 0;
    for (long i = 0; i < W; i++) found |= mask[i];
    return found != 0;
}

static inline float sum(vec v) {
    float total = 0;
    for (long i = 0; i < W; i++) total += v[i];
    return total;
}

static inline vec root(vec v) {
    for (long i = 0; i < W; i++) v[i] = std::sqrt(v[i]);
    return v;
}

// exp(x) within about one unit in the last place, for all x; NaN stays NaN.
static inline vec exponential(vec x) {
    constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    vec bounded = higher(lower(x, all(88.37f)), all(-87.33f));
    vec shifted = bounded * 1.44269504f + magic;
    vec n = shifted - magic;
    vec r = bounded - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1;
    ivec bits = ((ivec)shifted - 0x4b400000 + 127) << 23;
    vec y = p * (vec)bits;
    y = x > all(88.37f) ? all(INF) : y;
    y = x < all(-87.33f) ? vec{} : y;
    return x != x ? x : y;
}

static inline vec sigmoid(vec x) { return 1 / (1 + exponential(-x)); }
