// pool.cu -- pooling and the parameter-free shortcuts
//
//   max_pool           y = the largest value of the window inside the image
//   max_pool_backward  gradX = the sum of gradY over the windows whose first largest value in row order is this one
//   average_pool       y = the mean of the window inside the image; backward spreads gradY evenly
//   reduce_pad         y = the window's sum / window^2 in the middle channels, 0 in the others (window 1: subsampling)
//
// Shapes     x, gradX N,H,W,C; y, gradY N,P,Q,C, or N,P,Q,D for reduce_pad, D - C zero channels around; n values of the destination
// Launch     block 256, any grid; one thread per value of the destination
// Limits     n < 2^31
// Exactness  gradients are gathered in row order of the windows: equal to the twin
// Twin       src/main/java/onebit/ops/cpu/CpuPoolOps.java, maxPool, averagePool, subsamplePad, poolPad and their backwards
// Tests      native-tests/pool_test.cpp, src/test/java/onebit/ops/PoolOpsTest.java
// Source     He et al. 2016, shortcut option A, for reduce_pad with window 1
// Rungs      1 one thread per value of the destination, gradients gathered
#include "common.cuh"


struct Place {
  int n, h, w, c;
};

__device__ __forceinline__ Place place(unsigned i, int height, int width, int channels) {
  unsigned pixel = i / channels;
  return {int(pixel / width / height), int(pixel / width % height), int(pixel % width), int(i % channels)};
}

/** First window (from) and the one past the last (to) that hold image coordinate h. */
__device__ __forceinline__ void windows_over(int h, int window, int stride, int pad, int count, int& from, int& to) {
  from = h + pad - window + 1 <= 0 ? 0 : (h + pad - window + stride) / stride;
  to = min((h + pad) / stride + 1, count);
}

ONEBIT_KERNEL(256) max_pool(float* y, const float* x, unsigned n, int h, int w, int c, int p, int q, int window, int stride, int pad) {
  FOR_EACH(i, n) {
    Place at = place(i, p, q, c);
    int h0 = max(0, at.h * stride - pad), h1 = min(h, at.h * stride - pad + window);
    int w0 = max(0, at.w * stride - pad), w1 = min(w, at.w * stride - pad + window);
    float best = __int_as_float(0xff800000);
    for (int hh = h0; hh < h1; hh++) {
      for (int ww = w0; ww < w1; ww++) {
        float v = x[((at.n * h + hh) * w + ww) * c + at.c];
        if (v > best || v != v) best = v;
      }
    }
    y[i] = best;
  }
}

ONEBIT_KERNEL(256) max_pool_backward(float* gradX, const float* gradY, const float* x, unsigned n, int h, int w, int c, int p, int q,
                                     int window, int stride, int pad) {
  FOR_EACH(i, n) {
    Place at = place(i, h, w, c);
    int p0, p1, q0, q1;
    windows_over(at.h, window, stride, pad, p, p0, p1);
    windows_over(at.w, window, stride, pad, q, q0, q1);
    float sum = 0;
    for (int pp = p0; pp < p1; pp++) {
      for (int qq = q0; qq < q1; qq++) {
        int h0 = max(0, pp * stride - pad), h1 = min(h, pp * stride - pad + window);
        int w0 = max(0, qq * stride - pad), w1 = min(w, qq * stride - pad + window);
        unsigned best = ((at.n * h + h0) * w + w0) * c + at.c;
        for (int hh = h0; hh < h1; hh++) {
          for (int ww = w0; ww < w1; ww++) {
            unsigned other = ((at.n * h + hh) * w + ww) * c + at.c;
            if (x[other] > x[best]) best = other;
          }
        }
        if (best == i) sum += gradY[((at.n * p + pp) * q + qq) * c + at.c];
      }
    }
    gradX[i] = sum;
  }
}

ONEBIT_KERNEL(256) average_pool(float* y, const float* x, unsigned n, int h, int w, int c, int p, int q, int window, int stride) {
  FOR_EACH(i, n) {
    Place at = place(i, p, q, c);
    int h0 = at.h * stride, h1 = min(h, h0 + window), w0 = at.w * stride, w1 = min(w, w0 + window);
    float sum = 0;
    for (int hh = h0; hh < h1; hh++) {
      for (int ww = w0; ww < w1; ww++) sum += x[((at.n * h + hh) * w + ww) * c + at.c];
    }
    y[i] = sum * (1.0f / ((h1 - h0) * (w1 - w0)));
  }
}

ONEBIT_KERNEL(256) average_pool_backward(float* gradX, const float* gradY, unsigned n, int h, int w, int c, int p, int q, int window,
                                         int stride) {
  FOR_EACH(i, n) {
    Place at = place(i, h, w, c);
    int p0, p1, q0, q1;
    windows_over(at.h, window, stride, 0, p, p0, p1);
    windows_over(at.w, window, stride, 0, q, q0, q1);
    float sum = 0;
    for (int pp = p0; pp < p1; pp++) {
      for (int qq = q0; qq < q1; qq++) {
        int rows = min(h, pp * stride + window) - pp * stride, columns = min(w, qq * stride + window) - qq * stride;
        sum += 1.0f / (rows * columns) * gradY[((at.n * p + pp) * q + qq) * c + at.c];
      }
    }
    gradX[i] = sum;
  }
}

ONEBIT_KERNEL(256) reduce_pad(float* y, const float* x, unsigned n, int h, int w, int c, int p, int q, int d, int window, int stride) {
  FOR_EACH(i, n) {
    Place at = place(i, p, q, d);
    int from = at.c - (d - c) / 2;
    float sum = 0, factor = 1.0f / (window * window);
    if (from >= 0 && from < c) {
      int h0 = at.h * stride, h1 = min(h, h0 + window), w0 = at.w * stride, w1 = min(w, w0 + window);
      for (int hh = h0; hh < h1; hh++) {
        for (int ww = w0; ww < w1; ww++) sum += factor * x[((at.n * h + hh) * w + ww) * c + from];
      }
    }
    y[i] = sum;
  }
}

ONEBIT_KERNEL(256) reduce_pad_backward(float* gradX, const float* gradY, unsigned n, int h, int w, int c, int p, int q, int d, int window,
                                       int stride) {
  FOR_EACH(i, n) {
    Place at = place(i, h, w, c);
    int p0, p1, q0, q1;
    windows_over(at.h, window, stride, 0, p, p0, p1);
    windows_over(at.w, window, stride, 0, q, q0, q1);
    float sum = 0, factor = 1.0f / (window * window);
    for (int pp = p0; pp < p1; pp++) {
      for (int qq = q0; qq < q1; qq++) sum += factor * gradY[((at.n * p + pp) * q + qq) * d + (d - c) / 2 + at.c];
    }
    gradX[i] = sum;
  }
}
