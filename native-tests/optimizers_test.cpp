// optimizers_test.cpp -- kernels/sgd.cu, kernels/adam.cu, kernels/judge.cu and kernels/copy_all.cu over a table of tensors against loops
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

/** A verdict of that first value which has gradients multiplied by share. */
std::vector<float> verdict_of(float wrong, float share) { return {wrong, 0, 0, 0, 0, 0, share}; }
}  // namespace

TEST(sgd_updates_every_tensor_with_momentum_decay_and_share) {
  for (float share : {1.0f, 0.3f}) {
    Table t(kSizes);
    float rate = 0.1f, momentum = 0.9f;
    Array<float> learningRate(std::vector<float>{rate}), steps(std::vector<float>{6}), go(verdict_of(0, share));
    run("sgd", blocks(t.pieceCount()), *t.table, *t.pieceList, momentum, learningRate, steps, go);
    expect_equal("steps", steps.read(), {7});
    for (unsigned i = 0; i < kSizes.size(); i++) {
      std::vector<double> value, moment;
      for (unsigned k = 0; k < kSizes[i]; k++) {
        moment.push_back(double(momentum) * t.first[i][k] + double(share) * t.gradients[i][k] + double(t.entries[i].decay) * t.values[i][k]);
        value.push_back(t.values[i][k] - rate * moment.back());
      }
      expect_near("momentum of tensor " + std::to_string(i), t.found(i, 2), moment, 1e-6);
      expect_near("value of tensor " + std::to_string(i), t.found(i, 0), value, 1e-6);
      expect_equal("gradient of tensor " + std::to_string(i), t.found(i, 1), t.gradients[i]);
    }
  }
}

TEST(adam_rate_holds_the_bias_corrections_of_its_step) {
  float rate = 0.01f, beta1 = 0.95f, beta2 = 0.999f;
  for (int rectified : {0, 1}) for (float before : {0.0f, 4.0f, 5.0f, 999.0f}) {
    Array<float> used(2), steps(std::vector<float>{before}), learningRate(std::vector<float>{rate}), go(verdict_of(0, 1));
    run("adam_rate", blocks(1, 32), used, steps, learningRate, go, beta1, beta2, rectified);
    double t = before + 1, k1 = std::pow(double(beta1), t), k2 = std::pow(double(beta2), t), longest = 2 / (1 - double(beta2)) - 1;
    double length = longest - 2 * t * k2 / (1 - k2), wanted = rate / (1 - k1);
    bool divide = !rectified || length > 5;
    if (divide) wanted *= std::sqrt(1 - k2) * (rectified ? std::sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) : 1);
    expect_near("rate", {used.read()[0]}, std::vector<double>{wanted}, 1e-6);
    expect_equal("divide", std::vector<float>{used.read()[1]}, {divide ? 1.0f : 0.0f});
    expect_equal("steps", steps.read(), {before + 1});
  }
}

TEST(adam_updates_every_tensor_and_leaves_the_division_out_when_told) {
  for (int divide : {0, 1}) for (float share : {1.0f, 0.3f}) {
    Table t(kSizes);
    float rate = 0.01f, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
    Array<float> used(std::vector<float>{rate, float(divide)}), go(verdict_of(0, share));
    run("adam", blocks(t.pieceCount()), *t.table, *t.pieceList, used, go, beta1, beta2, epsilon);
    for (unsigned i = 0; i < kSizes.size(); i++) {
      std::vector<double> value, m, v;
      for (unsigned k = 0; k < kSizes[i]; k++) {
        double g = double(share) * t.gradients[i][k] + double(t.entries[i].decay) * t.values[i][k];
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

TEST(a_skipped_update_leaves_everything_as_it_is) {
  Table t(kSizes);
  float rate = 0.1f;
  int rectified = 0;
  Array<float> learningRate(std::vector<float>{rate}), steps(std::vector<float>{6}), skip(verdict_of(-1, 1)), used(std::vector<float>{3, 4});
  run("sgd", blocks(t.pieceCount()), *t.table, *t.pieceList, rate, learningRate, steps, skip);
  run("adam_rate", blocks(1, 32), used, steps, learningRate, skip, rate, rate, rectified);
  run("adam", blocks(t.pieceCount()), *t.table, *t.pieceList, used, skip, rate, rate, rate);
  expect_equal("steps", steps.read(), {6});
  expect_equal("used", used.read(), {3, 4});
  for (unsigned i = 0; i < kSizes.size(); i++) {
    expect_equal("value of tensor " + std::to_string(i), t.found(i, 0), t.values[i]);
    expect_equal("first of tensor " + std::to_string(i), t.found(i, 2), t.first[i]);
    expect_equal("second of tensor " + std::to_string(i), t.found(i, 3), t.second[i]);
  }
}

TEST(copy_all_copies_every_tensor) {
  Table t(kSizes);
  run("copy_all", blocks(t.pieceCount()), *t.table, *t.pieceList);
  for (unsigned i = 0; i < kSizes.size(); i++) expect_equal("tensor " + std::to_string(i), t.found(i, 0), t.gradients[i]);
}

TEST(add_all_adds_every_tensor) {
  Table t(kSizes);
  run("add_all", blocks(t.pieceCount()), *t.table, *t.pieceList);
  for (unsigned i = 0; i < kSizes.size(); i++) {
    std::vector<float> wanted = t.values[i];
    for (unsigned k = 0; k < kSizes[i]; k++) wanted[k] += t.gradients[i][k];
    expect_equal("tensor " + std::to_string(i), t.found(i, 0), wanted);
    expect_equal("what was added to tensor " + std::to_string(i), t.found(i, 1), t.gradients[i]);
  }
}

TEST(round_all_rounds_every_tensor_to_bfloat16) {
  Table t(kSizes);
  std::vector<std::unique_ptr<Array<Bf16>>> halves;
  for (unsigned i = 0; i < kSizes.size(); i++) {
    halves.push_back(std::make_unique<Array<Bf16>>(kSizes[i]));
    t.entries[i].value = halves.back()->address;
  }
  Array<Entry> table(t.entries);
  run("round_all", blocks(t.pieceCount()), table, *t.pieceList);
  for (unsigned i = 0; i < kSizes.size(); i++) {
    expect_equal("tensor " + std::to_string(i), values(halves[i]->read()), kernel_test::rounded<Bf16>(t.gradients[i]));
  }
}

TEST(judge_names_the_loss_or_the_first_tensor_that_is_not_finite) {
  for (unsigned bad = 0; bad <= kSizes.size(); bad++) for (bool loss : {false, true}) {
    Table t(kSizes);
    for (unsigned i = bad; i < kSizes.size(); i++) {
      std::vector<float> x = t.values[i];
      x[x.size() - 1] = i % 2 ? NAN : INFINITY;
      require(driver.memcpyHtoD(t.entries[i].value, x.data(), x.size() * 4), "cuMemcpyHtoD");
    }
    Array<double> partial(t.pieceCount());
    Array<float> verdict(7), result(std::vector<float>{loss ? NAN : 2.5f, 3, 4}), penalty(std::vector<float>{0.5f});
    Array<unsigned> counter(std::vector<unsigned>(1));
    Table kept({3, 5000});
    run("judge", blocks(t.pieceCount()), verdict, result, penalty, partial, counter, *t.table, *t.pieceList, t.pieceCount(), 1.0f, *kept.table, 2u);
    float wanted = loss ? -1.0f : bad == kSizes.size() ? 0.0f : float(bad + 1);
    std::vector<float> found = verdict.read();
    expect_equal("verdict", std::vector<float>(found.begin(), found.begin() + 5), {wanted, loss ? NAN : 2.5f, 3, 4, 0.5f});
    if (wanted != 0) expect_equal("share", std::vector<float>{found[6]}, {1});
    for (unsigned i = 0; i < 2; i++) expect_equal("state", kept.found(i, 0), wanted == 0 ? kept.values[i] : kept.gradients[i]);
    expect_equal("counter", counter.read(), std::vector<unsigned>(1));
  }
}

TEST(judge_measures_all_tensors_together_and_says_what_makes_them_as_long_as_they_may_be) {
  Table t(kSizes);
  for (float first : {3e38f, 1.5f, 0.0f}) {   // the square of one is no float
    require(driver.memcpyHtoD(t.entries[0].value, &first, 4), "cuMemcpyHtoD");
    double squares = double(first) * first;
    for (unsigned i = 1; i < kSizes.size(); i++) for (float v : t.values[i]) squares += double(v) * v;
    float norm = float(std::sqrt(squares));
    for (float largest : {0.0f, 0.25f * norm, norm * 1.01f}) {
      Array<double> partial(t.pieceCount());
      Array<float> verdict(7), result(std::vector<float>{1, 2, 3});
      Array<unsigned> counter(std::vector<unsigned>(1));
      run("judge", blocks(t.pieceCount()), verdict, result, nullptr, partial, counter, *t.table, *t.pieceList, t.pieceCount(), largest, nullptr, 0u);
      expect_near("norm", {verdict.read()[5]}, std::vector<double>{norm}, 1e-7);
      expect_near("share", {verdict.read()[6]}, std::vector<double>{largest > 0 && largest < norm ? 0.25 : 1}, 1e-6);
    }
  }
}
