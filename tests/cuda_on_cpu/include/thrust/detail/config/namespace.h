// SPDX-License-Identifier: BSD-3-Clause
// What CuPy's complex numbers need of Thrust.
#pragma once
#define THRUST_NAMESPACE_BEGIN namespace thrust {
#define THRUST_NAMESPACE_END }
