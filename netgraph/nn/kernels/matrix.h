// Small dense products whose operands lie in the nearest caches.
#pragma once

#include "vectors.h"

// C[i][j] (+)= sum_k A(i, k) B[k][j] for R rows and V vectors of columns; A(i, k) stands at a[i * row + k * column].
template <int R, int V>
static inline void product_part(long depth, const float* a, long row, long column, const float* b, long ldb,
                                float* c, long ldc) {
    vec sums[R][V];
    for (int i = 0; i < R; i++)
        for (int j = 0; j < V; j++) sums[i][j] = load(c + i * ldc + j * W);
    for (long k = 0; k < depth; k++) {
        vec right[V];
        for (int j = 0; j < V; j++) right[j] = load(b + k * ldb + j * W);
        for (int i = 0; i < R; i++) {
            float left = a[i * row + k * column];
            for (int j = 0; j < V; j++) sums[i][j] += left * right[j];
        }
    }
    for (int i = 0; i < R; i++)
        for (int j = 0; j < V; j++) store(c + i * ldc + j * W, sums[i][j]);
}

template <int R>
static void product_rows(long columns, long depth, const float* a, long row, long column, const float* b,
                         long ldb, float* c, long ldc) {
    long j = 0;
    for (; j + 2 * W <= columns; j += 2 * W)
        product_part<R, 2>(depth, a, row, column, b + j, ldb, c + j, ldc);
    if (j < columns) product_part<R, 1>(depth, a, row, column, b + j, ldb, c + j, ldc);
}

// C += A B, where `columns` is a multiple of W.
static void product(long rows, long columns, long depth, const float* a, long row, long column, const float* b,
                    long ldb, float* c, long ldc) {
    long i = 0;
    for (; i + 6 <= rows; i += 6)
        product_rows<6>(columns, depth, a + i * row, row, column, b, ldb, c + i * ldc, ldc);
    for (; i + 2 <= rows; i += 2)
        product_rows<2>(columns, depth, a + i * row, row, column, b, ldb, c + i * ldc, ldc);
    if (i < rows) product_rows<1>(columns, depth, a + i * row, row, column, b, ldb, c + i * ldc, ldc);
}

static void fill_rows(long rows, long columns, const float* values, float* c, long ldc) {
    for (long i = 0; i < rows; i++)
        for (long j = 0; j < columns; j += W) store(c + i * ldc + j, load(values + j));
}
