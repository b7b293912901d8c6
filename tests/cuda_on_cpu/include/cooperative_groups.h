// SPDX-License-Identifier: BSD-3-Clause
#error "cooperative groups are not emulated"
