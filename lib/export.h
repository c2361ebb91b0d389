// What the shared library exports: the C names of the public headers; everything else is hidden.
#ifndef VKCKPT_LIB_EXPORT_H
#define VKCKPT_LIB_EXPORT_H

#define VK_EXPORT extern "C" __attribute__((visibility("default")))

#endif
