// cuda_runtime.h -- found by a kernel's #include when g++ compiles it for the emulated device
#pragma once
#include "../cuda_runtime_emulation.h"
