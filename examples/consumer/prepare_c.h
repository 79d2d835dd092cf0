/* prepare.hpp for languages that call C, such as Swift by way of a bridging header. */
#ifndef MOBILEVISION_PREPARE_C_H_
#define MOBILEVISION_PREPARE_C_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * From a camera's frame to the input of a model, [channels, height, width], 0 to 255.
 *
 * pixels, row_bytes  the frame, upright, and the bytes from a row to the next, which may be more than the width takes
 * order              a letter a byte of a pixel, such as "RGB", "BGRA" or "RGBA"
 * fit ... width      what `preprocessing` of model.json says
 * input              room for channels * height * width bytes
 * back               scale_x, scale_y, shift_x, shift_y: x of the input is at x * scale_x + shift_x of the frame
 *
 * Returns 0, or 1 where fit, order or channels are none that it knows.
 */
int mobilevision_prepare(const uint8_t* pixels, const char* order, int frame_width, int frame_height, int row_bytes,
                         const char* fit, double crop, int channels, int height, int width, uint8_t* input,
                         double* back);

#ifdef __cplusplus
}
#endif

#endif /* MOBILEVISION_PREPARE_C_H_ */
