// SPDX-License-Identifier: BSD-3-Clause
// Loads and stores with hints for caches, which do nothing here, and fences: one thread runs at a time.
#pragma once

template <class T> inline T __ldg(const T *p) { return *p; }
template <class T> inline T __ldca(const T *p) { return *p; }
template <class T> inline T __ldcg(const T *p) { return *p; }
template <class T> inline T __ldcs(const T *p) { return *p; }
template <class T> inline void __stcg(T *p, T value) { *p = value; }
template <class T> inline void __stcs(T *p, T value) { *p = value; }
template <class T> inline void __stwt(T *p, T value) { *p = value; }

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

extern "C" void *memcpy(void *to, const void *from, size_t bytes);
extern "C" void *memset(void *to, int byte, size_t bytes);
