// softmax_cross_entropy_test.cpp -- kernels/softmax_cross_entropy.cu against the formulas
#include "kernel_test.h"

TEST(softmax_cross_entropy_gives_loss_gradient_and_hits) {
  for (unsigned classes : {2u, 10u, 129u, 1000u}) for (float smoothing : {0.0f, 0.1f}) {
    unsigned n = 7;
    std::vector<float> z = Random(classes).normal(n * classes, 50, 4);
    std::vector<int> labels(n);
    std::vector<double> grad(n * classes);
    double loss = 0, top1 = 0, top5 = 0;
    for (unsigned i = 0; i < n; i++) {
      const float* row = &z[i * classes];
      unsigned label = i * 31 % classes, above = 0;
      labels[i] = int(label);
      double most = *std::max_element(row, row + classes), sum = 0, mean = 0;
      for (unsigned k = 0; k < classes; k++) sum += std::exp(row[k] - most), mean += row[k] / double(classes), above += row[k] > row[label];
      double logSum = most + std::log(sum);
      loss += ((1 - double(smoothing)) * (logSum - row[label]) + double(smoothing) * (logSum - mean)) / n;
      top1 += above < 1;
      top5 += above < 5;
      for (unsigned k = 0; k < classes; k++) grad[i * classes + k] = (std::exp(row[k] - logSum) - (k == label ? 1 - double(smoothing) : 0) - double(smoothing) / classes) / n;
    }
    Array<float> logits(z), gradLogits(z.size()), result(3);
    Array<int> deviceLabels(labels);
    Array<double> rows(3 * n);
    run("softmax_cross_entropy", blocks(n, 128), rows, gradLogits, logits, deviceLabels, n, classes, smoothing);
    run("softmax_cross_entropy_finish", blocks(1), result, rows, n);
    std::vector<float> found = result.read();
    expect(std::fabs(found[0] - loss) <= 1e-5 * std::max(1.0, std::fabs(loss)), "loss is " + std::to_string(found[0]) + ", wanted " + std::to_string(loss));
    expect(found[1] == float(top1) && found[2] == float(top5), "hits are off");
    expect_near("gradLogits", gradLogits.read(), grad, 1e-5);
  }
}

TEST(softmax_cross_entropy_of_a_label_outside_is_nan) {
  Array<float> logits(std::vector<float>(10, 1)), gradLogits(10), result(3);
  Array<int> labels(std::vector<int>{10});
  Array<double> rows(3);
  run("softmax_cross_entropy", blocks(1, 128), rows, gradLogits, logits, labels, 1u, 10u, 0.0f);
  run("softmax_cross_entropy_finish", blocks(1), result, rows, 1u);
  expect(std::isnan(result.read()[0]), "the loss of an unknown label is a number");
}
