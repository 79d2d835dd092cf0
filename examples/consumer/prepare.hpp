// From a decoded image to the input of an exported model, in C++17 without a library: for the NDK of Android, for iOS,
// for boards. To the last pixel what `mobilevision predict` does (Pillow's antialiased BILINEAR, in whole numbers);
// compile it with -ffp-contract=off, as fused multiplications round otherwise.
//
//   mobilevision::Preprocessing how{mobilevision::Fit::kCrop, 0.875, 3, 160, 160};      // `preprocessing` of model.json
//   std::vector<uint8_t> input = mobilevision::Prepare(rgb, width, height, how).input;  // [channels, height, width]
//
// The image is upright (turn it by its EXIF note before), RGB of 8 bits, interleaved. Models of 4 channels are left out.
#ifndef MOBILEVISION_PREPARE_HPP_
#define MOBILEVISION_PREPARE_HPP_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace mobilevision {

enum class Fit { kCrop, kStretch, kLetterbox };

// What model.json says under `preprocessing`.
struct Preprocessing {
  Fit fit;
  double crop;   // of the shorter side, for kCrop
  int channels;  // 3 (RGB) or 1 (grey)
  int height;
  int width;
  uint8_t fill = 127;  // beside the image, for kLetterbox
};

// Bytes, interleaved: [height, width, channels].
struct Image {
  std::vector<uint8_t> data;
  int width;
  int height;
  int channels;
};

// The input of a model, [channels, height, width], 0 to 255, and the way from its pixels back to those of the image.
struct Prepared {
  std::vector<uint8_t> input;
  double scale_x, scale_y, shift_x, shift_y;

  // A box (left, top, right, bottom) that a detector found, in pixels of the image.
  void ToImage(float* box) const {
    for (int side = 0; side < 4; side++)
      box[side] = static_cast<float>(side % 2 ? box[side] * scale_y + shift_y : box[side] * scale_x + shift_x);
  }
};

namespace internal {

constexpr int kBits = 22;  // 32 bits less 8 of a pixel and 2 for sums beyond it

// What each output along one axis is made of: its first input, and whole-numbered weights from there on.
struct Weights {
  std::vector<int> first;
  std::vector<std::vector<int32_t>> table;
};

inline Weights MakeWeights(int length, float from, float to, int outputs) {
  const double scale = static_cast<double>(static_cast<float>(to - from)) / outputs;
  const double reach = std::max(scale, 1.0);
  Weights made;
  for (int place = 0; place < outputs; place++) {
    const double centre = from + (place + 0.5) * scale;
    const int start = std::max(static_cast<int>(centre - reach + 0.5), 0);
    const int end = std::min(static_cast<int>(centre + reach + 0.5), length);
    std::vector<double> shares;
    double total = 0;
    for (int at = start; at < end; at++) {
      shares.push_back(std::max(0.0, 1 - std::abs((at - centre + 0.5) * (1 / reach))));
      total += shares.back();
    }
    std::vector<int32_t> row;
    for (double share : shares) row.push_back(static_cast<int32_t>(0.5 + share / (total == 0 ? 1 : total) * (1 << kBits)));
    made.first.push_back(start);
    made.table.push_back(std::move(row));
  }
  return made;
}

inline uint8_t Summed(const uint8_t* from, int step, const std::vector<int32_t>& row) {
  int64_t sum = 1 << (kBits - 1);
  for (int32_t weight : row) {
    sum += static_cast<int64_t>(*from) * weight;
    from += step;
  }
  return static_cast<uint8_t>(std::clamp<int64_t>(sum >> kBits, 0, 255));
}

inline Image Narrowed(const Image& image, const Weights& weights) {
  const int columns = static_cast<int>(weights.first.size());
  Image found{std::vector<uint8_t>(size_t(columns) * image.height * image.channels), columns, image.height, image.channels};
  uint8_t* to = found.data.data();
  for (int row = 0; row < image.height; row++)
    for (int column = 0; column < columns; column++)
      for (int channel = 0; channel < image.channels; channel++) {
        const size_t at = (size_t(row) * image.width + weights.first[column]) * image.channels + channel;
        *to++ = Summed(&image.data[at], image.channels, weights.table[column]);
      }
  return found;
}

inline Image Lowered(const Image& image, const Weights& weights) {
  const int rows = static_cast<int>(weights.first.size()), line = image.width * image.channels;
  Image found{std::vector<uint8_t>(size_t(rows) * line), image.width, rows, image.channels};
  uint8_t* to = found.data.data();
  for (int row = 0; row < rows; row++)
    for (int at = 0; at < line; at++) *to++ = Summed(&image.data[size_t(weights.first[row]) * line + at], line, weights.table[row]);
  return found;
}

// Python's round: halves go to the even neighbour.
inline int Round(double value) { return static_cast<int>(std::nearbyint(value)); }

}  // namespace internal

// A part of an image (left, top, right, bottom in pixels, fractions allowed), resized.
inline Image Resample(const Image& image, double left, double top, double right, double bottom, int width, int height) {
  const float box[] = {float(left), float(top), float(right), float(bottom)};
  const bool wide = box[0] != 0 || box[2] != width || width != image.width;
  const bool high = box[1] != 0 || box[3] != height || height != image.height;
  const auto narrow = [&](Image from) {
    return wide ? internal::Narrowed(from, internal::MakeWeights(from.width, box[0], box[2], width)) : from;
  };
  const auto lower = [&](Image from) {
    return high ? internal::Lowered(from, internal::MakeWeights(from.height, box[1], box[3], height)) : from;
  };
  const int lost_width = image.width - width, lost_height = image.height - height;
  const bool tall_first = lost_height > 0 && lost_height > 2 * lost_width;  // as Pillow does from 13 on
  return tall_first ? narrow(lower(image)) : lower(narrow(image));
}

// Subtract 128 for a file of `--for micro`, whose channels come last.
inline Prepared Prepare(const uint8_t* rgb, int width, int height, const Preprocessing& how) {
  Image image{std::vector<uint8_t>(rgb, rgb + size_t(width) * height * 3), width, height, 3};
  if (how.channels == 1) {  // grey first, and resized then
    Image grey{std::vector<uint8_t>(size_t(width) * height), width, height, 1};
    for (size_t at = 0; at < grey.data.size(); at++)
      grey.data[at] = uint8_t((rgb[3 * at] * 19595 + rgb[3 * at + 1] * 38470 + rgb[3 * at + 2] * 7471 + 0x8000) >> 16);
    image = std::move(grey);
  }
  double left = 0, top = 0, wide = width, high = height;
  int to_width = how.width, to_height = how.height, at_left = 0, at_top = 0;
  if (how.fit == Fit::kCrop) {
    const double scale = how.crop * std::min(double(height) / how.height, double(width) / how.width);
    wide = how.width * scale;
    high = how.height * scale;
    left = (width - wide) / 2;
    top = (height - high) / 2;
  } else if (how.fit == Fit::kLetterbox) {
    const double scale = std::min(double(how.height) / height, double(how.width) / width);
    to_width = std::max(1, internal::Round(width * scale));
    to_height = std::max(1, internal::Round(height * scale));
    at_left = (how.width - to_width) / 2;
    at_top = (how.height - to_height) / 2;
  }
  const double right = std::min(left + wide, double(width)), bottom = std::min(top + high, double(height));
  const Image found = Resample(image, std::max(left, 0.0), std::max(top, 0.0), right, bottom, to_width, to_height);
  std::vector<uint8_t> input(size_t(how.channels) * how.height * how.width, how.fill);
  for (int channel = 0; channel < how.channels; channel++)
    for (int row = 0; row < to_height; row++)
      for (int column = 0; column < to_width; column++)
        input[(size_t(channel) * how.height + at_top + row) * how.width + at_left + column] =
            found.data[(size_t(row) * to_width + column) * how.channels + channel];
  const double scale_x = wide / to_width, scale_y = high / to_height;
  return {std::move(input), scale_x, scale_y, left - at_left * scale_x, top - at_top * scale_y};
}

}  // namespace mobilevision

#endif  // MOBILEVISION_PREPARE_HPP_
