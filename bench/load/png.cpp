#include "bench/load/png.hpp"

#include <cmath>
#include <librsvg/rsvg.h>

namespace fedgate::load {

bool write_png(const std::string& path, Bytes svg) {
    RsvgHandle* handle =
        rsvg_handle_new_from_data(reinterpret_cast<const guint8*>(svg.data()), svg.size(), nullptr);
    if (handle == nullptr) return false;
    double width = 0, height = 0;
    bool good = rsvg_handle_get_intrinsic_size_in_pixels(handle, &width, &height) != FALSE;
    cairo_surface_t* surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(std::lround(width)),
                                   static_cast<int>(std::lround(height)));
    cairo_t* cairo = cairo_create(surface);
    const RsvgRectangle all{0, 0, width, height};
    good = good && rsvg_handle_render_document(handle, cairo, &all, nullptr) != FALSE &&
           cairo_surface_write_to_png(surface, path.c_str()) == CAIRO_STATUS_SUCCESS;
    cairo_destroy(cairo);
    cairo_surface_destroy(surface);
    g_object_unref(handle);
    return good;
}

}  // namespace fedgate::load
