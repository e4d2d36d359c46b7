// changed_bits_test.cpp -- kernels/changed_bits.cu against population counts of the host
#include "kernel_test.h"

TEST(changed_bits_counts_ones_and_changes_and_remembers) {
  Random random(1);
  for (unsigned words : {1u, 31u, 256u, 257u, 3000u}) {
    std::vector<unsigned> before = random.bits(words, 32), now = random.bits(words, 32);
    float ones = 0, changes = 0;
    for (unsigned i = 0; i < words; i++) {
      ones += float(__builtin_popcount(now[i]));
      changes += float(__builtin_popcount(now[i] ^ before[i]));
    }
    Array<unsigned> old(before), fresh(now);
    Array<float> counts(std::vector<float>(6, -1));
    run("changed_bits", blocks(1), counts, old, fresh, words, 1);
    expect_equal("counts", counts.read(), {-1, -1, ones, changes, -1, -1});
    expect_equal("before", old.read(), now);
    run("changed_bits", blocks(1), counts, old, fresh, words, 2);
    expect_equal("counts again", counts.read(), {-1, -1, ones, changes, ones, 0});
  }
}
