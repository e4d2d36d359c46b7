// bulk.h -- barriers in shared memory, the bulk copies that they count and the products that read them, of the block that runs here
#pragma once
#include <string>

namespace hostcuda {

/** Forgets everything: a block begins. */
void bulkBegin(bool newestFirst);
/** Moves the bytes of one copy that is under way; false when there is none. */
bool bulkLand();
/** All threads of the block met: what each warp has seen, all have. */
void bulkMeet();
/** What the parked thread waits for, in words. */
std::string bulkWait(unsigned linear);
/** Empty, or what was left under way when the block ended. */
std::string bulkEnd();

/** Of the engine: the running thread waits until wake names it; why the launch cannot go on is asked of bulkWait. */
void park(const char* file, int line);
void wake(unsigned linear);

}  // namespace hostcuda
