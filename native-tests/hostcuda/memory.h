// memory.h -- device memory: fenced, poisoned, counted
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace hostcuda {

constexpr int kMaxDevices = 16;

int deviceCount();
size_t deviceBytes();

/** The address of fresh poisoned memory on the device, or null when its bytes do not fit. */
void* allocate(int device, size_t bytes);
/** False with why in `error` when the address is no live allocation; the block stays poisoned in quarantine before reuse. */
bool release(void* address, std::string& error);
/** Empty when [address, address + bytes) lies in one live allocation or page-locked host range, else a sentence. */
std::string checkRange(const void* address, size_t bytes);
/** Every fence and freed block looked at; the first damage as a sentence, then mended so that it is told once. */
std::string checkFences(bool all);
bool isDevice(const void* address);
/** Where the memory of all devices begins, and how many bytes of addresses it takes. */
char* deviceMemory(size_t& bytes);
int deviceOf(const void* address);
bool isFreed(const void* address);
bool range(const void* address, void*& base, size_t& bytes);
size_t freeBytes(int device);
/** "byte 12 past the end of the 400-byte allocation 0x..." */
std::string describe(const void* address);
/** All bytes may be touched by a kernel (shadow look-up, no lock). */
bool accessible(const void* address, size_t bytes);

void* allocateHost(size_t bytes);
bool releaseHost(void* address);
void registerHost(void* address, size_t bytes);
bool unregisterHost(void* address);
bool isPinned(const void* address, size_t bytes);

}  // namespace hostcuda
