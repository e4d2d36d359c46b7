// multi_tensor.cuh -- the table that lets one launch update every parameter
#pragma once
#include "common.cuh"

/** One parameter: its value, gradient and up to two moments. Layout as written by src/main/java/onebit/ops/cuda/TensorTable.java. */
struct TensorEntry {
  float* value;
  float* gradient;
  float* first;
  float* second;
  unsigned size;
  float decay;
};

constexpr unsigned kPiece = 4096;
/** Where a verdict (judge.cu) says what gradients are multiplied by. */
constexpr unsigned kShare = 6;

#define FOR_EACH_OF_PIECE(k, from, size) \
  for (unsigned k = (from) + threadIdx.x; k < min((from) + kPiece, (size)); k += blockDim.x)
