// From a camera's frame or a decoded image to the input of an exported model, in Kotlin without a library and without
// classes of Android. To the last pixel what `mobilevision predict` does (Pillow's antialiased BILINEAR, in whole numbers).
//
//   val how = Preprocessing("crop", 0.875, 3, 160, 160)             // `preprocessing` of model.json
//   val input = prepare(upright(argb, width, height), how).input    // [channels, height, width]
//
// Colours have 8 bits. Models of 4 channels are left out.
package mobilevision

import java.nio.ByteBuffer

/** What model.json says under `preprocessing`: [crop] is of the shorter side, [fill] lies beside a letterboxed image. */
class Preprocessing(
    val fit: String,
    val crop: Double,
    val channels: Int,
    val height: Int,
    val width: Int,
    val fill: Int = 127
) {
    init {
        require(fit in listOf("crop", "stretch", "letterbox")) { "fit: $fit" }
        require(channels == 1 || channels == 3) { "a model of $channels channels takes no camera's image" }
    }
}

/** Bytes, interleaved: [height, width, channels]. */
class Picture(val data: ByteArray, val width: Int, val height: Int, val channels: Int = 3)

/** The [input] of a model, [channels, height, width], 0 to 255, and the way from its pixels back to those of the picture. */
class Prepared(
    val input: ByteArray,
    val scaleX: Double,
    val scaleY: Double,
    val shiftX: Double,
    val shiftY: Double
) {
    /** A box (left, top, right, bottom) that a detector found, in pixels of the picture. */
    fun toPicture(box: FloatArray) = FloatArray(4) {
        (if (it % 2 == 0) box[it] * scaleX + shiftX else box[it] * scaleY + shiftY).toFloat()
    }
}

/** Colours as `Bitmap.getPixels` gives them, turned clockwise by 0, 90, 180 or 270 degrees. */
fun upright(argb: IntArray, width: Int, height: Int, degrees: Int = 0): Picture =
    turned(width, height, degrees) { column, row -> argb[row * width + column] }

/**
 * One plane of red, green, blue bytes, such as a camera's in RGBA_8888, turned clockwise: [rowStride] and [pixelStride]
 * are the bytes from a row and from a pixel to the next one, which are more than the width takes on many devices.
 */
fun upright(plane: ByteBuffer, width: Int, height: Int, rowStride: Int, pixelStride: Int, degrees: Int = 0): Picture =
    turned(width, height, degrees) { column, row ->
        val at = plane.position() + row * rowStride + column * pixelStride
        (byteOf(plane[at]) shl 16) or (byteOf(plane[at + 1]) shl 8) or byteOf(plane[at + 2])
    }

private inline fun turned(width: Int, height: Int, degrees: Int, colour: (Int, Int) -> Int): Picture {
    require(degrees in listOf(0, 90, 180, 270)) { "degrees: $degrees" }
    val lying = degrees % 180 != 0
    val columns = if (lying) height else width
    val rows = if (lying) width else height
    val data = ByteArray(3 * columns * rows)
    var to = 0
    for (row in 0 until rows) {
        for (column in 0 until columns) {
            val found = when (degrees) {
                0 -> colour(column, row)
                90 -> colour(row, height - 1 - column)
                180 -> colour(width - 1 - column, height - 1 - row)
                else -> colour(width - 1 - row, column)
            }
            data[to++] = (found shr 16).toByte()
            data[to++] = (found shr 8).toByte()
            data[to++] = found.toByte()
        }
    }
    return Picture(data, columns, rows)
}

/** Subtract 128 for a file of `--for micro`, whose channels come last. */
fun prepare(picture: Picture, how: Preprocessing): Prepared {
    val image = if (how.channels == 1) grey(picture) else picture // grey first, and resized then
    var left = 0.0
    var top = 0.0
    var wide = image.width.toDouble()
    var high = image.height.toDouble()
    var toWidth = how.width
    var toHeight = how.height
    var atLeft = 0
    var atTop = 0
    if (how.fit == "crop") {
        val scale = how.crop * Math.min(high / how.height, wide / how.width)
        wide = how.width * scale
        high = how.height * scale
        left = (image.width - wide) / 2
        top = (image.height - high) / 2
    } else if (how.fit == "letterbox") {
        val scale = Math.min(how.height / high, how.width / wide)
        toWidth = Math.max(1, Math.rint(wide * scale).toInt()) // halves go to the even neighbour, as in Python
        toHeight = Math.max(1, Math.rint(high * scale).toInt())
        atLeft = (how.width - toWidth) / 2
        atTop = (how.height - toHeight) / 2
    }
    val right = Math.min(left + wide, image.width.toDouble())
    val bottom = Math.min(top + high, image.height.toDouble())
    val found = resample(image, Math.max(left, 0.0), Math.max(top, 0.0), right, bottom, toWidth, toHeight)
    val input = ByteArray(how.channels * how.height * how.width) { how.fill.toByte() }
    for (channel in 0 until how.channels) {
        for (row in 0 until toHeight) {
            var to = (channel * how.height + atTop + row) * how.width + atLeft
            var from = row * toWidth * how.channels + channel
            for (column in 0 until toWidth) {
                input[to++] = found.data[from]
                from += how.channels
            }
        }
    }
    val scaleX = wide / toWidth
    val scaleY = high / toHeight
    return Prepared(input, scaleX, scaleY, left - atLeft * scaleX, top - atTop * scaleY)
}

private const val BITS = 22 // 32 bits less 8 of a pixel and 2 for sums beyond it

/** What each output along one axis is made of: its first input, and whole-numbered weights from there on. */
private class Weights(val first: IntArray, val table: Array<IntArray>)

private fun weights(length: Int, from: Float, to: Float, outputs: Int): Weights {
    val scale = (to - from).toDouble() / outputs
    val reach = Math.max(scale, 1.0)
    val first = IntArray(outputs)
    val table = Array(outputs) { place ->
        val centre = from + (place + 0.5) * scale
        val start = Math.max((centre - reach + 0.5).toInt(), 0)
        val end = Math.min((centre + reach + 0.5).toInt(), length)
        val shares = DoubleArray(end - start) { Math.max(0.0, 1 - Math.abs((it + start - centre + 0.5) * (1 / reach))) }
        val sum = shares.sum()
        val total = if (sum == 0.0) 1.0 else sum
        first[place] = start
        IntArray(shares.size) { (0.5 + shares[it] / total * (1 shl BITS)).toInt() }
    }
    return Weights(first, table)
}

private fun summed(data: ByteArray, from: Int, step: Int, row: IntArray): Byte {
    var sum = 1 shl (BITS - 1)
    var at = from
    for (weight in row) {
        sum += byteOf(data[at]) * weight
        at += step
    }
    return Math.min(Math.max(sum shr BITS, 0), 255).toByte()
}

private fun narrowed(image: Picture, weights: Weights): Picture {
    val columns = weights.first.size
    val found = ByteArray(columns * image.height * image.channels)
    var to = 0
    for (row in 0 until image.height) {
        for (column in 0 until columns) {
            val from = (row * image.width + weights.first[column]) * image.channels
            for (channel in 0 until image.channels) {
                found[to++] = summed(image.data, from + channel, image.channels, weights.table[column])
            }
        }
    }
    return Picture(found, columns, image.height, image.channels)
}

private fun lowered(image: Picture, weights: Weights): Picture {
    val rows = weights.first.size
    val line = image.width * image.channels
    val found = ByteArray(rows * line)
    var to = 0
    for (row in 0 until rows) {
        val from = weights.first[row] * line
        for (at in 0 until line) found[to++] = summed(image.data, from + at, line, weights.table[row])
    }
    return Picture(found, image.width, rows, image.channels)
}

private fun resample(
    image: Picture,
    left: Double,
    top: Double,
    right: Double,
    bottom: Double,
    width: Int,
    height: Int
): Picture {
    val box = floatArrayOf(left.toFloat(), top.toFloat(), right.toFloat(), bottom.toFloat())
    val wide = box[0] != 0f || box[2] != width.toFloat() || width != image.width
    val high = box[1] != 0f || box[3] != height.toFloat() || height != image.height
    fun narrow(from: Picture) = if (wide) narrowed(from, weights(from.width, box[0], box[2], width)) else from
    fun lower(from: Picture) = if (high) lowered(from, weights(from.height, box[1], box[3], height)) else from
    val lostWidth = image.width - width
    val lostHeight = image.height - height
    val tallFirst = lostHeight > 0 && lostHeight > 2 * lostWidth // as Pillow does from 13 on
    return if (tallFirst) narrow(lower(image)) else lower(narrow(image))
}

private fun grey(picture: Picture): Picture {
    val rgb = picture.data
    val found = ByteArray(picture.width * picture.height) {
        val red = byteOf(rgb[3 * it])
        val green = byteOf(rgb[3 * it + 1])
        val blue = byteOf(rgb[3 * it + 2])
        ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) shr 16).toByte()
    }
    return Picture(found, picture.width, picture.height, 1)
}

private fun byteOf(byte: Byte) = byte.toInt() and 255
