// Compile it with -ffp-contract=off, as prepare.hpp says.
#include "prepare_c.h"

#include <algorithm>
#include <string>

#include "prepare.hpp"

int mobilevision_prepare(const uint8_t* pixels, const char* order, int frame_width, int frame_height, int row_bytes,
                         const char* fit, double crop, int channels, int height, int width, uint8_t* input,
                         double* back) {
  using namespace mobilevision;
  const std::string letters = order, asked = fit, fits[] = {"crop", "stretch", "letterbox"};
  const std::string* found = std::find(std::begin(fits), std::end(fits), asked);
  const size_t red = letters.find('R'), green = letters.find('G'), blue = letters.find('B'), none = std::string::npos;
  if (found == std::end(fits) || red == none || green == none || blue == none || (channels != 1 && channels != 3)) return 1;
  std::vector<uint8_t> rgb;
  rgb.reserve(size_t(frame_width) * frame_height * 3);
  for (int row = 0; row < frame_height; row++) {
    const uint8_t* at = pixels + size_t(row) * row_bytes;
    for (int column = 0; column < frame_width; column++, at += letters.size())
      rgb.insert(rgb.end(), {at[red], at[green], at[blue]});
  }
  const Preprocessing how{static_cast<Fit>(found - std::begin(fits)), crop, channels, height, width};
  const Prepared made = Prepare(rgb.data(), frame_width, frame_height, how);
  std::copy(made.input.begin(), made.input.end(), input);
  const double mapping[] = {made.scale_x, made.scale_y, made.shift_x, made.shift_y};
  std::copy(std::begin(mapping), std::end(mapping), back);
  return 0;
}
