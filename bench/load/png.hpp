// The only door to librsvg and cairo.
#pragma once

#include <string>

#include "core/base/bytes.hpp"

namespace fedgate::load {

// Draws an SVG into a PNG file. False: it can't be drawn, or not be written.
[[nodiscard]] bool write_png(const std::string& path, Bytes svg);

}  // namespace fedgate::load
