// optimizers_test.cpp -- kernels/sgd.cu, kernels/adam.cu and kernels/non_finite.cu over a table of tensors against loops
#include "kernel_test.h"
#include <memory>

namespace {
struct Entry {   // kernels/multi_tensor.cuh
  CUdeviceptr value, gradient, first, second;
  unsigned size;
  float decay;
};
static_assert(sizeof(Entry) == 40, "the layout of TensorEntry");

struct Table {
  std::vector<std::vector<float>> values, gradients, first, second;
  std::vector<std::unique_ptr<Array<float>>> arrays;
  std::vector<Entry> entries;
  std::vector<unsigned> pieces;
  std::unique_ptr<Array<Entry>> table;
  std::unique_ptr<Array<unsigned>> pieceList;

  explicit Table(const std::vector<unsigned>& sizes) {
    Random random(21);
    for (unsigned i = 0; i < sizes.size(); i++) {
      values.push_back(random.normal(sizes[i]));
      gradients.push_back(random.normal(sizes[i]));
      first.push_back(random.normal(sizes[i]));
      second.push_back(random.uniform(sizes[i], 0, 1));
      Entry e{put(values[i]), put(gradients[i]), put(first[i]), put(second[i]), sizes[i], i % 2 ? 0.01f : 0.0f};
      entries.push_back(e);
      for (unsigned from = 0; from < sizes[i]; from += 4096) pieces.insert(pieces.end(), {i, from});
    }
    table = std::make_unique<Array<Entry>>(entries);
    pieceList = std::make_unique<Array<unsigned>>(pieces);
  }
  CUdeviceptr put(const std::vector<float>& v) {
    arrays.push_back(std::make_unique<Array<float>>(v));
    return arrays.back()->address;
  }
  std::vector<float> found(unsigned tensor, unsigned which) { return arrays[4 * tensor + which]->read(); }
  unsigned pieceCount() const { return unsigned(pieces.size() / 2); }
};
const std::vector<unsigned> kSizes = {1, 33, 4096, 4097, 10000};
}  // namespace

TEST(sgd_updates_every_tensor_with_momentum_and_decay) {
  Table t(kSizes);
  float rate = 0.1f, momentum = 0.9f;
  run("sgd", blocks(t.pieceCount()), *t.table, *t.pieceList, rate, momentum);
  for (unsigned i = 0; i < kSizes.size(); i++) {
    std::vector<double> value, moment;
    for (unsigned k = 0; k < kSizes[i]; k++) {
      moment.push_back(double(momentum) * t.first[i][k] + t.gradients[i][k] + double(t.entries[i].decay) * t.values[i][k]);
      value.push_back(t.values[i][k] - rate * moment.back());
    }
    expect_near("momentum of tensor " + std::to_string(i), t.found(i, 2), moment, 1e-6);
    expect_near("value of tensor " + std::to_string(i), t.found(i, 0), value, 1e-6);
    expect_equal("gradient of tensor " + std::to_string(i), t.found(i, 1), t.gradients[i]);
  }
}

TEST(adam_updates_every_tensor_and_leaves_the_division_out_when_told) {
  for (int divide : {0, 1}) {
    Table t(kSizes);
    float rate = 0.01f, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
    run("adam", blocks(t.pieceCount()), *t.table, *t.pieceList, rate, beta1, beta2, epsilon, divide);
    for (unsigned i = 0; i < kSizes.size(); i++) {
      std::vector<double> value, m, v;
      for (unsigned k = 0; k < kSizes[i]; k++) {
        double g = t.gradients[i][k] + double(t.entries[i].decay) * t.values[i][k];
        m.push_back(double(beta1) * t.first[i][k] + (1 - double(beta1)) * g);
        v.push_back(double(beta2) * t.second[i][k] + (1 - double(beta2)) * g * g);
        value.push_back(t.values[i][k] - rate * (divide ? m.back() / (std::sqrt(v.back()) + epsilon) : m.back()));
      }
      expect_near("first moment of tensor " + std::to_string(i), t.found(i, 2), m, 1e-6);
      expect_near("second moment of tensor " + std::to_string(i), t.found(i, 3), v, 1e-5);
      expect_near("value of tensor " + std::to_string(i), t.found(i, 0), value, 1e-5);
    }
  }
}

TEST(non_finite_counts_nan_and_infinity) {
  for (unsigned n : {1u, 255u, 5000u}) for (unsigned grid : {1u, 3u}) {
    std::vector<float> x = Random(n).normal(n);
    float wanted = 0;
    for (unsigned i = 0; i < n; i += 7, wanted++) x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
    Array<float> device(x), count(1);
    Array<double> partial(grid);
    run("non_finite", blocks(grid), partial, device, n);
    run("non_finite_finish", blocks(1), count, partial, grid);
    expect_equal("count", count.read(), {wanted});
  }
}

TEST(non_finite_each_counts_in_every_tensor_of_a_table) {
  Table t(kSizes);
  std::vector<float> wanted(kSizes.size());
  for (unsigned i = 0; i < kSizes.size(); i++) {
    std::vector<float> x = t.values[i];
    for (unsigned k = i; k < x.size(); k += 1000, wanted[i]++) x[k] = k % 2 ? NAN : INFINITY;
    require(driver.memcpyHtoD(t.entries[i].value, x.data(), x.size() * 4), "cuMemcpyHtoD");
  }
  Array<double> partial(t.pieceCount());
  Array<float> counts(kSizes.size());
  run("non_finite_each", blocks(t.pieceCount()), partial, *t.table, *t.pieceList);
  run("non_finite_each_finish", blocks(unsigned(kSizes.size())), counts, partial, *t.table, *t.pieceList, t.pieceCount());
  expect_equal("counts", counts.read(), wanted);
}
