#include "bin/image_summary.h"

#include <stdio.h>

#include <bit>

namespace tool {

static double part(uint64_t stored, uint64_t live)
{
	return live ? static_cast<double>(stored) / static_cast<double>(live) : 0;
}

static std::string percent(double ratio)
{
	char text[16];
	if (ratio <= 0)
		return "-";
	snprintf(text, sizeof text, "%.0f%%", ratio * 100);
	return text;
}

std::string ClassSummary::ratio_text() const { return percent(part(stored_bytes, frames * VKCKPT_FRAME)); }
double RamSummary::ratio() const { return part(stored_bytes, live_bytes); }
std::string RamSummary::ratio_text() const { return percent(ratio()); }

const char *class_name(unsigned page_class)
{
	static const char *const kNames[VKCKPT_CLASS_COUNT] = {
		"other", "kernel", "page tables", "slab", "file cache", "process memory", "free", "regions",
	};
	return page_class < VKCKPT_CLASS_COUNT ? kNames[page_class] : "unknown";
}

static const char *codec_name(unsigned codec)
{
	static const char *const kNames[] = {"zero", "raw", "lz4", "same", "parent"};
	return codec < std::size(kNames) ? kNames[codec] : "unknown";
}

RamSummary summarize(const ImageFile &image)
{
	const vkckpt_f_stats &stats = image.stats();
	RamSummary out{stats.frames_stored * VKCKPT_FRAME, stats.stored_bytes, stats.frames_zero * VKCKPT_FRAME,
	    stats.frames_free * VKCKPT_FRAME, stats.frames_hole * VKCKPT_FRAME, stats.frames_secret * VKCKPT_FRAME,
	    {}, {}};
	for (unsigned i = 0; i < VKCKPT_CLASS_COUNT; i++)
		if (stats.class_frames[i] || stats.class_bytes[i])
			out.classes.push_back({class_name(i), stats.class_frames[i], stats.class_bytes[i]});
	uint64_t count = 0;
	const vkckpt_f_chunk *chunks = vkckpt_image_chunks(image.get(), &count);
	CodecSummary codecs[VKCKPT_CODEC_PARENT + 1] = {};
	for (uint64_t i = 0; i < count; i++) {
		if (chunks[i].codec > VKCKPT_CODEC_PARENT)
			continue;
		CodecSummary &codec = codecs[chunks[i].codec];
		codec.name = codec_name(chunks[i].codec);
		codec.chunks++;
		codec.frames += static_cast<uint64_t>(std::popcount(chunks[i].mask));
		codec.stored_bytes += chunks[i].stored_bytes;
	}
	for (const CodecSummary &codec : codecs)
		if (codec.chunks)
			out.codecs.push_back(codec);
	return out;
}

}  // namespace tool
