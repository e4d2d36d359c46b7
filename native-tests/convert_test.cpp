// convert_test.cpp -- kernels/convert.cu against rounding on the host
#include "kernel_test.h"

TEST(convert_rounds_to_the_nearest_bfloat16_and_back_changes_nothing) {
  for (unsigned n : {1u, 7u, 4096u, 5001u}) {
    std::vector<float> x = Random(n).normal(n, 0, 100);
    // ties go to the even neighbour, the largest float to infinity, NaN stays NaN
    const float special[] = {1.00390625f, 1.01171875f, -1.00390625f, 3.4e38f, INFINITY, NAN, 1e-45f, -0.0f};
    for (unsigned i = 0; i < std::min(n, 8u); i++) x[i] = special[i];
    Array<float> device(x), back(n);
    Array<Bf16> small(n);
    run("to_bfloat16", blocks(2), small, device, n);
    run("to_float32", blocks(3), back, small, n);
    std::vector<float> wanted = rounded<Bf16>(x);
    expect_equal("bfloat16", values(small.read()), wanted);
    expect_equal("float32", back.read(), wanted);
    if (n >= 7) expect(wanted[0] == 1 && wanted[1] == 1.015625f && wanted[3] == INFINITY, "the host's rounding is not that of IEEE 754");
  }
}
