# Every library that is not ours, as a target. Each is linked by its one door only.

find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
find_package(mimalloc REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)

# The set-up owns the key of the cache (version, options, patch): ask it, don't repeat it.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/tests/setup ${PROJECT_SOURCE_DIR}/tests/wolfssl.patch)
execute_process(
  COMMAND ${PROJECT_SOURCE_DIR}/tests/setup --print-wolfssl-prefix
  OUTPUT_VARIABLE wolfssl_prefix OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT EXISTS "${wolfssl_prefix}/lib/libwolfssl.a")
  message(FATAL_ERROR "The fast wolfSSL is not built yet: run tests/setup")
endif()
message(STATUS "wolfSSL: ${wolfssl_prefix}")
add_library(wolfssl_static STATIC IMPORTED GLOBAL)
set_target_properties(wolfssl_static PROPERTIES
  IMPORTED_LOCATION ${wolfssl_prefix}/lib/libwolfssl.a
  INTERFACE_INCLUDE_DIRECTORIES ${wolfssl_prefix}/include
  INTERFACE_LINK_LIBRARIES "m;Threads::Threads")
# Its headers need <wolfssl/options.h> before them: they mean something else for every option.

# Each is named in full: a shared liburing of another version would be found first by -luring.
foreach(library uring_static:liburing.a:liburing.h unbound:libunbound.so:unbound.h
                microhttpd:libmicrohttpd.so:microhttpd.h idn2:libidn2.so:idn2.h unistring:libunistring.so:unicase.h
                seccomp:libseccomp.so:seccomp.h)
  string(REPLACE ":" ";" library ${library})
  list(GET library 0 target)
  list(GET library 1 file)
  list(GET library 2 header)
  find_library(${target}_FILE ${file})
  find_path(${target}_INCLUDE ${header})
  if(NOT ${target}_FILE OR NOT ${target}_INCLUDE)
    message(FATAL_ERROR "${file} or ${header} is missing: run tests/setup")
  endif()
  add_library(${target} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION ${${target}_FILE}
    INTERFACE_INCLUDE_DIRECTORIES ${${target}_INCLUDE})
endforeach()

find_package(PkgConfig)
if(PKG_CONFIG_FOUND)
  pkg_check_modules(rsvg IMPORTED_TARGET GLOBAL librsvg-2.0)
  pkg_check_modules(libpq IMPORTED_TARGET GLOBAL libpq)
endif()
foreach(library rsvg libpq)
  if(NOT TARGET PkgConfig::${library})
    message(FATAL_ERROR "${library} is missing: run tests/setup")
  endif()
endforeach()
