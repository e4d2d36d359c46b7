// each_element.cuh -- includes ELEMENT_FILE once on float and once on bfloat16; element.cuh says how it is used
//
// No #pragma once: every file with entries on both types includes it. ENTRY(name) is name on float, name_bf16 on bfloat16.
#define ELEMENT float
#define ENTRY(name) name
#include ELEMENT_FILE
#undef ELEMENT
#undef ENTRY
#define ELEMENT __nv_bfloat16
#define ENTRY(name) name##_bf16
#include ELEMENT_FILE
#undef ELEMENT
#undef ENTRY
#undef ELEMENT_FILE
