// grad_w.cuh -- what the products that give the gradient of binary filters have in common: columns of words, and positions that move by a step
//
// Shapes     as xnor_conv2d_grad_w.cu
#pragma once
#include "common.cuh"

constexpr unsigned kGradStep = 64;

/** A word of columns: its tap's offsets, its word of a pixel (-1 if there is none), and how many of its columns there are. */
struct GradColumns {
  int down, along, word, count;
};

struct GradShape {
  int n, h, w, c, o, r, s, stride, pad, dilation, p, q;
  unsigned positions;
};

/** A position of y, moved by a step at a time. */
struct GradPosition {
  int image, row, column;
  __device__ __forceinline__ void set(unsigned at, const GradShape& g) {
    column = int(at % unsigned(g.q));
    row = int(at / unsigned(g.q) % unsigned(g.p));
    image = int(at / unsigned(g.q) / unsigned(g.p));
  }
  __device__ __forceinline__ void move(const GradPosition& by, const GradShape& g) {
    column += by.column;
    int carry = column >= g.q;
    column -= carry ? g.q : 0;
    row += by.row + carry;
    carry = row >= g.p;
    row -= carry ? g.p : 0;
    image += by.image + carry;
  }
};

/** Word `word` of the columns of all taps. */
__device__ __forceinline__ GradColumns grad_columns(unsigned word, unsigned words, unsigned perPixel, const GradShape& g) {
  unsigned tap = word / perPixel, k = word % perPixel;
  bool some = word < words;
  return {int(tap / unsigned(g.s)) * g.dilation - g.pad, int(tap % unsigned(g.s)) * g.dilation - g.pad, some ? int(k) : -1,
          some ? int(min(32u, unsigned(g.c) - 32 * k)) : 0};
}
