// channel_sums_test.cpp -- kernels/channel_sums.cu against sums in double: one group of splits, a full one, and several
#include "kernel_test.h"

TEST(channel_sums_finish_adds_up_every_split) {
  for (unsigned splits : {1u, 2u, 23u, 24u, 25u, 48u, 53u, 512u}) for (unsigned channels : {1u, 5u, 300u}) for (unsigned count : {1u, 2u}) {
    std::vector<float> terms = Random(splits + channels).normal(size_t(splits) * count * channels, 1);
    std::vector<double> wanted[2] = {std::vector<double>(channels), std::vector<double>(channels)};
    for (unsigned i = 0; i < terms.size(); i++) wanted[i / channels % count][i % channels] += terms[i];
    Array<double> partial(std::vector<double>(terms.begin(), terms.end()));
    Array<float> first(channels), second(channels);
    run("channel_sums_finish", blocks((channels + 255) / 256), first, second, partial, splits, count, channels);
    std::string what = " of " + std::to_string(splits) + " splits";
    expect_near("first sum" + what, first.read(), wanted[0], 1e-7);
    if (count == 2) expect_near("second sum" + what, second.read(), wanted[1], 1e-7);
  }
}
