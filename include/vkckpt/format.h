/*
 * vkckpt/format.h: the image format, version 1: every number that stands in a file.
 *
 * All integers little-endian and fixed-width; all numbers literal and frozen. The specification in words, with a worked
 * hex example, is vkckpt(5). C11 and C++20.
 *
 *   header | head records (host, identity, devices, vmspaces, regions, vCPUs) | HEAD_END |
 *   RAM groups | STATS | INDEX | trailer
 *
 * The file can be written to a pipe and read from one; the index at its end gives random access to every chunk.
 */
#ifndef VKCKPT_FORMAT_H
#define VKCKPT_FORMAT_H

#include <stdint.h>

#define VKCKPT_MAGIC		"\x89VKCKPT\n"	/* 8 bytes without the NUL; the first catches 7-bit transfers */
#define VKCKPT_TRAILER_MAGIC	"VKCKPTE\n"
#define VKCKPT_VERSION_MAJOR	1	/* another major: refused */
#define VKCKPT_VERSION_MINOR	1	/* a newer minor: read, unknown optional parts skipped */

#define VKCKPT_BLOCK		4096u	/* header, trailer, alignment of RAM payloads, multiple of the file's length */
#define VKCKPT_FRAME		4096u	/* bytes of a frame; other page sizes are refused by name */
#define VKCKPT_CHUNK_FRAMES	16u
#define VKCKPT_CHUNK		65536u
#define VKCKPT_GROUP_CHUNKS	256u	/* descriptors of one RAM group at most */

/* Limits, checked by writer and reader before any use. */
#define VKCKPT_MAX_SEGMENTS	16u
#define VKCKPT_MAX_REGIONS	64u
#define VKCKPT_MAX_DEVICES	256u
#define VKCKPT_MAX_VCPUS	256u
#define VKCKPT_MAX_VMSPACES	65536u
#define VKCKPT_MAX_MAPPINGS	16u		/* vpagetable mappings of one vmspace */
#define VKCKPT_MAX_SEGMENT_BYTES (1ull << 44)
#define VKCKPT_MAX_RAM_BYTES	(1ull << 44)	/* all segments together */
#define VKCKPT_MAX_ADDRESS	(1ull << 47)	/* segments and regions end there at the latest */
#define VKCKPT_MAX_REGION_BYTES	(1ull << 30)
#define VKCKPT_MAX_RECORD	(1u << 20)	/* payload of a record, but INDEX's */
#define VKCKPT_MAX_HEAD		(256u << 20)	/* payloads of all head records together */
#define VKCKPT_MAX_CONFIG	256u		/* entries of a device's configuration */
#define VKCKPT_MAX_VALUE	65536u		/* bytes of one value */
#define VKCKPT_MAX_NAME		63u		/* bytes of a name, NUL not counted */
#define VKCKPT_MAX_PATH		1023u
#define VKCKPT_MAX_CHAIN	64u		/* images of a chain: an incremental one and all that it is built on */

#define VKCKPT_ARCH_X86_64	62u		/* EM_X86_64 */

enum vkckpt_digest_id { VKCKPT_DIGEST_XXH3_128 = 1 };
enum vkckpt_cipher_id { VKCKPT_CIPHER_NONE = 0, VKCKPT_CIPHER_XCHACHA20_POLY1305 = 1 };

/* Bits of required_features, since 1.1. An image that has none of them is readable by a 1.0 reader. */
#define VKCKPT_FEATURE_INCREMENTAL	(1ull << 0)	/* descriptors carry content hashes, and may be of codec PARENT */
#define VKCKPT_FEATURE_SEALED		(1ull << 1)	/* encrypted; cipher_id says how */

/* 16 bytes: XXH3-128 in its canonical (big-endian) form, XXH128_canonicalFromHash. */
struct vkckpt_digest { uint8_t bytes[16]; };
struct vkckpt_uuid { uint8_t bytes[16]; };

struct vkckpt_f_segment {
	uint64_t address;	/* host address at which the vkernel had it mapped */
	uint64_t size_bytes;	/* a multiple of VKCKPT_FRAME */
};

/* Block 0. Bytes behind the struct up to the digest are zero. digest is over bytes 0 .. 4079. */
struct vkckpt_f_header {
	uint8_t magic[8];
	uint32_t version_major;
	uint32_t version_minor;
	uint32_t header_bytes;		/* 4096 */
	uint32_t frame_bytes;		/* 4096 */
	uint64_t required_features;	/* a bit the reader does not know: refused */
	uint64_t optional_features;
	uint32_t arch;
	uint32_t digest_id;
	uint32_t cipher_id;
	uint32_t segment_count;
	struct vkckpt_uuid image_id;
	uint64_t created_realtime_ns;
	uint64_t reserved[3];		/* 0 */
	struct vkckpt_f_segment segment[VKCKPT_MAX_SEGMENTS];
	uint64_t segment_skip[VKCKPT_MAX_SEGMENTS];	/* bytes at its start that are not RAM and never mapped; a multiple of VKCKPT_FRAME */
	uint8_t zero[3592];
	struct vkckpt_digest digest;
};

#define VKCKPT_RECORD_MAGIC	0x43524b56u	/* "VKRC" */
enum vkckpt_record_flags { VKCKPT_RECORD_REQUIRED = 1 };

/*
 * In front of every record. The payload is followed by zeros to the next multiple of 16 bytes of the file. digest is over
 * the 32 bytes before it, the payload and these zeros. sequence counts records from 0 without gaps. head_check guards the
 * length by itself, so that a reader never waits for bytes that a damaged length promises.
 */
struct vkckpt_f_record {
	uint32_t magic;
	uint16_t type;
	uint16_t version;		/* 1 for every type of this page; another: treated as an unknown type */
	uint64_t sequence;
	uint64_t payload_bytes;
	uint32_t flags;			/* enum vkckpt_record_flags; other bits 0 */
	uint32_t head_check;		/* low 32 bits of XXH3-64 over the 28 bytes before it */
	struct vkckpt_digest digest;
};

/* Records in this order (KEY and SHAPE first); HOST, IDENTITY, HEAD_END, STATS and INDEX once. Types without a number here may stand anywhere before INDEX. */
enum vkckpt_record_type {
	VKCKPT_REC_HOST = 1,
	VKCKPT_REC_IDENTITY = 2,
	VKCKPT_REC_DEVICE = 3,
	VKCKPT_REC_VMSPACE = 4,
	VKCKPT_REC_REGION = 5,
	VKCKPT_REC_VCPU = 6,
	VKCKPT_REC_HEAD_END = 7,	/* empty; everything before RAM has been seen */
	VKCKPT_REC_RAM_GROUP = 8,
	VKCKPT_REC_STATS = 9,
	VKCKPT_REC_INDEX = 10,
	VKCKPT_REC_KEY = 11,		/* sealed images only: the first record, and the only one in clear */
	VKCKPT_REC_SHAPE = 12		/* sealed images only: the second record */
};

/*
 * Sealed images (VKCKPT_FEATURE_SEALED): every record's payload but KEY's, and every chunk's stored bytes, are ciphertext.
 * A payload is cut into pieces of VKCKPT_SEALED_PIECE bytes (the last one shorter; an empty payload is one empty piece),
 * each followed by its tag; a RAM_GROUP's begins with a struct vkckpt_f_sealed_group in clear. A chunk's stored bytes are
 * followed by their tag, which stored_bytes counts. payload_bytes, offsets and digests are of what stands in the file.
 * Key: 32 random bytes of this image alone. Nonces and associated data: struct vkckpt_f_nonce, _record_ad, _chunk_ad.
 */
#define VKCKPT_KEY_BYTES	32u
#define VKCKPT_NONCE_BYTES	24u
#define VKCKPT_TAG_BYTES	16u
#define VKCKPT_SEALED_PIECE	(1u << 20)

/* REC_KEY: the image's key, wrapped. */
enum vkckpt_key_kind {
	VKCKPT_KEY_BOX = 1,		/* sealed box to a public key: X25519, XSalsa20-Poly1305 (libsodium's crypto_box_seal) */
	VKCKPT_KEY_PASSPHRASE = 2,	/* XChaCha20-Poly1305 under Argon2id of a passphrase; associated data: image id */
	VKCKPT_KEY_RAW = 3		/* XChaCha20-Poly1305 under 32 bytes that the operator keeps; the same associated data */
};
struct vkckpt_f_key {
	uint32_t kind;
	uint32_t wrapped_bytes;		/* BOX: 80, else 48 */
	uint8_t recipient[32];		/* BOX: the public key; else 0 */
	uint8_t salt[16];		/* PASSPHRASE: of Argon2id 1.3; else 0 */
	uint64_t passes, memory_bytes;	/* PASSPHRASE: of Argon2id, one lane; else 0 */
	uint8_t nonce[VKCKPT_NONCE_BYTES];	/* of the wrapping; BOX: 0 */
	uint8_t wrapped[80];		/* what wrapped_bytes leaves is 0 */
	uint8_t reserved[16];		/* 0 */
};

/* REC_SHAPE: what an image in clear says in its header; there it is 0 in a sealed one. */
struct vkckpt_f_shape {
	uint64_t created_realtime_ns;
	uint32_t segment_count;
	uint32_t reserved;		/* 0 */
	struct vkckpt_f_segment segment[VKCKPT_MAX_SEGMENTS];
	uint64_t segment_skip[VKCKPT_MAX_SEGMENTS];
};

/* In front of a sealed RAM_GROUP's ciphertext: what one needs to pass over its data, or to check it, without the key. */
struct vkckpt_f_sealed_group {
	uint64_t data_bytes;
	uint64_t reserved;		/* 0 */
	struct vkckpt_digest data;	/* over the data_bytes behind the record */
};

/* Nonces. A record's piece: first = sequence, second = piece. A chunk: first = chunk, second = object + codec * 65536. */
enum vkckpt_nonce_use { VKCKPT_NONCE_RECORD = 1, VKCKPT_NONCE_CHUNK = 2 };
struct vkckpt_f_nonce {
	uint64_t first;
	uint32_t second;
	uint32_t use;			/* enum vkckpt_nonce_use */
	uint64_t zero;
};
/*
 * Associated data. Of a record's piece: this struct; of a RAM_GROUP followed by its struct vkckpt_f_sealed_group, of
 * SHAPE by the whole header and the payload of KEY.
 */
struct vkckpt_f_record_ad {
	struct vkckpt_uuid image_id;
	uint8_t head[28];		/* the record's bytes before head_check */
	uint32_t piece;
};
struct vkckpt_f_chunk_ad {
	struct vkckpt_uuid image_id;
	uint64_t chunk;
	uint16_t object, mask;
	uint8_t codec;
	uint8_t zero[3];
};

/*
 * REC_HOST: what the guest may have come to rely on. cpuid words of the capturing host, as the vkernel's process saw them; where guests were
 * shown less of it, that.
 */
enum vkckpt_cpuid_word {
	VKCKPT_CPUID_1_ECX, VKCKPT_CPUID_1_EDX, VKCKPT_CPUID_7_EBX, VKCKPT_CPUID_7_ECX, VKCKPT_CPUID_7_EDX,
	VKCKPT_CPUID_71_EAX, VKCKPT_CPUID_71_EDX, VKCKPT_CPUID_D1_EAX, VKCKPT_CPUID_80000001_ECX, VKCKPT_CPUID_80000001_EDX,
	VKCKPT_CPUID_80000008_EBX,	/* 0 in images of 0.1 */
	VKCKPT_CPUID_WORDS
};
struct vkckpt_f_host {
	uint32_t cpuid[15];		/* first VKCKPT_CPUID_WORDS used, rest 0 */
	uint32_t cpu_masked;		/* 1: cpuid and xcr0 are what guests were shown, and must be shown further on; else 0 */
	uint64_t xcr0;
	uint32_t xsave_bytes;		/* standard format, for xcr0 */
	uint32_t page_bytes;
	uint64_t realtime_ns;		/* clocks at the moment of quiescence */
	uint64_t monotonic_ns;
	uint8_t boot_id[16];		/* the host's boot, to tell "same host, same boot" */
	char system[64];		/* "Linux 6.1.0-18-amd64", NUL-padded */
};

enum vkckpt_pagetable_format {
	VKCKPT_PT_NONE = 0,
	VKCKPT_PT_DRAGONFLY = 1,	/* vpte of sys/vkernel.h since April 2017: V RW U A M PS NX(11), 4 levels, root is a vpte */
	VKCKPT_PT_UML_X86_64 = 2	/* User Mode Linux 6.1, x86-64: 3 levels, see lib/walk_formats.cc */
};

/* REC_IDENTITY */
struct vkckpt_f_identity {
	struct vkckpt_uuid image_id;	/* as in the header */
	struct vkckpt_uuid parent_id;	/* 0: a full image */
	struct vkckpt_uuid vkernel_id;	/* made at first boot, kept over thaws */
	struct vkckpt_uuid generation;	/* of the run that was captured */
	uint64_t thaw_count;		/* thaws behind this run */
	uint32_t action;		/* 1 exit, 2 continue */
	uint32_t pagetable_format;
	uint8_t build_id[32];
	uint32_t build_id_bytes;
	uint32_t vcpu_count;
	struct vkckpt_digest layout;
	char program[64];		/* kind of vkernel: "minivk" */
	char name[64];			/* this one */
	char library[64];		/* version of libvkckpt that wrote it */
	char parent_path[1024];		/* relative to the folder of this image, never absolute; empty for a full one */
};

/*
 * REC_DEVICE: this struct, then config_count entries {struct vkckpt_f_value, key, value}, each padded with zeros to 8
 * bytes, in the order saved. Keys and string values end in a NUL, which key_bytes and value_bytes count; a u64 has 8 bytes.
 */
enum vkckpt_value_type { VKCKPT_VALUE_U64 = 1, VKCKPT_VALUE_STRING = 2, VKCKPT_VALUE_BYTES = 3 };
struct vkckpt_f_device {
	char device_class[32];		/* "disk", "console", ... */
	char name[32];			/* "disk0" */
	uint32_t version;		/* of the class's configuration */
	uint32_t policy;		/* enum vkckpt_policy */
	uint32_t config_count;
	uint32_t flags;			/* bit 0: a writable disk, fenced by its sidecar */
};
struct vkckpt_f_value { uint16_t type; uint16_t key_bytes; uint32_t value_bytes; };

/* REC_VMSPACE: this struct, then mapping_count mappings. */
struct vkckpt_f_mapping {
	uint64_t address, size_bytes;	/* in the guest's address space */
	uint64_t offset;		/* of mmap: takes part in the index */
	uint64_t root;			/* SETMAP's value */
	uint32_t segment;		/* that holds the tables and frames */
	uint32_t prot;			/* 1 read, 2 write, 4 execute */
};
struct vkckpt_f_vmspace {
	uint64_t id;			/* the vkernel's own, a name only */
	int64_t pid;			/* of a guest process that owns it, -1 none */
	char name[64];			/* of that process */
	uint32_t mapping_count;
	uint32_t flags;
	/* what the walk saw */
	uint64_t frames_mapped;		/* leaf entries, superpages counted by their frames */
	uint64_t frames_accessed, frames_modified, frames_writable, frames_executable;
	uint64_t table_frames;
	uint64_t bad_entries;		/* out of range, loops: counted, never an error */
};

/* REC_REGION: host memory outside RAM. Its content stands in RAM groups as object VKCKPT_OBJECT_REGION + its number. */
struct vkckpt_f_region {
	char name[64];
	uint64_t address, size_bytes;
	uint32_t flags;
	uint32_t reserved;
};

/* REC_VCPU: this struct, then state_bytes of opaque state. */
enum vkckpt_vcpu_kind { VKCKPT_VCPU_ENTRY = 1, VKCKPT_VCPU_CONTEXT = 2 };
struct vkckpt_f_vcpu {
	uint32_t number, kind;
	uint64_t state_bytes;		/* kind CONTEXT: struct vkckpt_f_context */
};
struct vkckpt_f_context {	/* callee-saved registers of the System V ABI and where to go on */
	uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
	uint32_t mxcsr;
	uint16_t x87_control;
	uint16_t reserved;
};

/*
 * REC_RAM_GROUP: this struct, chunk_count descriptors; then, at the next multiple of 4096 of the file, the stored bytes
 * of the chunks in the order of the descriptors, the first at data_offset, each next one at the next multiple of 16,
 * data_bytes in all (the next multiple of 4096; gaps are zero and checked). payload_bytes of the record does not count the
 * data. A chunk has at most one descriptor of codec ZERO, one of PARENT and one other, their masks disjoint and inside the
 * object. A frame that no descriptor names reads as zero.
 */
struct vkckpt_f_group {
	uint32_t chunk_count;		/* 1 .. 256 */
	uint32_t reserved;
	uint64_t data_offset;		/* of the file */
	uint64_t data_bytes;
};
enum vkckpt_codec {
	VKCKPT_CODEC_ZERO = 0,		/* stored_bytes 0 */
	VKCKPT_CODEC_RAW = 1,		/* the frames of the mask one after the other */
	VKCKPT_CODEC_LZ4 = 2,		/* one LZ4 block of the same, smaller than it */
	VKCKPT_CODEC_SAME = 3,		/* reserved: as another chunk of this image */
	VKCKPT_CODEC_PARENT = 4		/* the frames of the mask are those of the parent image, which may have them from its own parent; stored_bytes 0 */
};
#define VKCKPT_OBJECT_REGION	0x100u	/* object numbers: 0.. RAM segments, 0x100.. regions */
struct vkckpt_f_chunk {
	uint64_t chunk;			/* number in its object: frames 16c .. 16c+15 */
	uint64_t offset;		/* of the stored bytes in the file; 0 for ZERO and PARENT */
	uint32_t stored_bytes;
	uint16_t object;
	uint16_t mask;			/* bit f: frame 16c+f is here */
	uint8_t codec;
	uint8_t page_class;		/* enum vkckpt_page_class of most of its frames */
	uint8_t reserved[6];
	struct vkckpt_digest digest;	/* over the stored bytes; 0 for ZERO and PARENT */
	struct vkckpt_digest content;	/* FEATURE_INCREMENTAL: over the frames of the mask, decoded, in order; 0 for ZERO. Else 0 */
};

/* REC_STATS: this struct; per class: frames live, zero, dropped as free, and stored bytes. */
enum vkckpt_page_class {
	VKCKPT_CLASS_OTHER = 0, VKCKPT_CLASS_KERNEL = 1, VKCKPT_CLASS_PAGETABLE = 2, VKCKPT_CLASS_SLAB = 3,
	VKCKPT_CLASS_CACHE = 4, VKCKPT_CLASS_ANON = 5, VKCKPT_CLASS_FREE = 6, VKCKPT_CLASS_REGION = 7, VKCKPT_CLASS_COUNT = 8
};
struct vkckpt_f_stats {
	uint64_t frames_total;
	uint64_t frames_stored;		/* live, not zero, and not as in the parent */
	uint64_t frames_zero;		/* live, found zero */
	uint64_t frames_free;		/* left out by the vkernel's word */
	uint64_t frames_hole;		/* never touched */
	uint64_t stored_bytes;		/* of chunks */
	uint64_t class_frames[VKCKPT_CLASS_COUNT];
	uint64_t class_bytes[VKCKPT_CLASS_COUNT];	/* stored */
	uint64_t quiesce_ns, walk_ns, write_ns;	/* quiesce: from the request to quiet */
	uint32_t workers;		/* threads that encoded; 0: not told */
	uint8_t codec;			/* enum vkckpt_codec that was tried; 0: not told */
	uint8_t levels;			/* bit l: chunks were encoded at level l of that codec; 0: not told */
	uint8_t waited;			/* percent of the workers' time in which they waited for the disk or the reader */
	uint8_t reserved;
	uint64_t hot_end;		/* RAM stored at offsets below it is wanted first at a thaw; 0: not told */
	uint64_t frames_parent;		/* live, unchanged since the parent image */
	uint64_t times;			/* enum vkckpt_time, see vkckpt_stats_time_ns; 0: not told */
	uint64_t frames_secret;		/* left out because no image may hold them */
};

/*
 * Parts of a checkpoint and of the thaw that the captured run began with. Number t stands in 10 bits of `times`, from bit 10 * t on: m in the
 * low 6, e in the high 4 of them mean m << e steps of 100 us, rounded up (to less than 4 % more); all ones: at least that long.
 */
enum vkckpt_time {
	VKCKPT_TIME_FREEZE = 0, VKCKPT_TIME_DEVICES = 1,	/* of quiesce_ns: tasks or vCPUs stopped, devices drained; the rest went before */
	VKCKPT_TIME_THAW_LOAD = 2, VKCKPT_TIME_THAW_VMSPACES = 3, VKCKPT_TIME_THAW_DEVICES = 4, VKCKPT_TIME_THAW_TASKS = 5
};
#define VKCKPT_TIME_STEP_NS	100000u
static inline uint64_t vkckpt_stats_time_ns(const struct vkckpt_f_stats *stats, unsigned t)
{
	return ((stats->times >> 10 * t & 0x3f) << (stats->times >> (10 * t + 6) & 0xf)) * VKCKPT_TIME_STEP_NS;
}

/*
 * REC_INDEX: entry_count, then the descriptors of the whole image sorted by (object, chunk, codec). payload_bytes counts
 * all of it and may exceed VKCKPT_MAX_RECORD.
 */
struct vkckpt_f_index { uint64_t entry_count; uint64_t reserved; };

/*
 * Last 4096 bytes of the file, at the first multiple of 4096 behind the record INDEX; bytes between are zero.
 * `whole` is XXH3-128 over the digests of the header and of all records in file order (each record's digest covers its
 * bytes, a RAM group's covers the digests of its chunks), so it covers the whole file. digest is over bytes 0 .. 4079.
 */
struct vkckpt_f_trailer {
	uint8_t magic[8];
	uint64_t file_bytes;
	uint64_t stats_offset;		/* of the record STATS */
	uint64_t index_offset;		/* of the record INDEX, the last one */
	uint64_t record_count;
	struct vkckpt_uuid image_id;
	struct vkckpt_digest whole;
	uint8_t zero[4008];
	struct vkckpt_digest digest;
};

#ifdef __cplusplus
#define VKCKPT_ASSERT(c, m) static_assert(c, m)
#else
#define VKCKPT_ASSERT(c, m) _Static_assert(c, m)
#endif
VKCKPT_ASSERT(sizeof(struct vkckpt_f_header) == 4096, "header");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_record) == 48, "record");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_host) == 176, "host");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_identity) == 1352, "identity");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_device) == 80, "device");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_mapping) == 40, "mapping");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_vmspace) == 144, "vmspace");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_region) == 88, "region");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_vcpu) == 16, "vcpu");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_context) == 72, "context");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_group) == 24, "group");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_chunk) == 64, "chunk");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_stats) == 240, "stats");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_trailer) == 4096, "trailer");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_key) == 192, "key");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_shape) == 400, "shape");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_sealed_group) == 32, "sealed group");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_nonce) == VKCKPT_NONCE_BYTES, "nonce");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_record_ad) == 48, "associated data of a record");
VKCKPT_ASSERT(sizeof(struct vkckpt_f_chunk_ad) == 32, "associated data of a chunk");
#endif
