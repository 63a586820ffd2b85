# Profile-guided optimisation. A build inside this one, instrumented, runs the replay of messages, in
# sessions and outside, and of presence (tests/simulation/replay_run.cpp); the layers are then compiled
# with what it has counted. The replay is a simulation with one seed, so the profile, and what is
# shipped, is the same wherever the compiler is. What it does not reach is optimised as ever.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU" OR NOT CMAKE_GENERATOR STREQUAL "Ninja")
  message(FATAL_ERROR "FEDGATE_TRAIN needs GCC and Ninja; configure with -DFEDGATE_TRAIN=OFF")
endif()

set(FEDGATE_TRAINING ${CMAKE_BINARY_DIR}/training)
file(GLOB_RECURSE trained CONFIGURE_DEPENDS core/*.[ch]pp net/*.[ch]pp xml/*.[ch]pp sip/*.[ch]pp
  appliance/edge/*.[ch]pp appliance/gateway/*.[ch]pp appliance/link/*.[ch]pp appliance/store/*.[ch]pp
  tests/simulation/*.hpp)
add_custom_command(OUTPUT ${FEDGATE_TRAINING}/digest
  COMMAND ${CMAKE_COMMAND} -S ${PROJECT_SOURCE_DIR} -B ${FEDGATE_TRAINING} -G Ninja --log-level=WARNING
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
    "-DCMAKE_CXX_FLAGS_RELEASE=${CMAKE_CXX_FLAGS_RELEASE} -fprofile-generate -fprofile-update=single"
  COMMAND ${CMAKE_COMMAND} --build ${FEDGATE_TRAINING} --target replay
  COMMAND ${PROJECT_SOURCE_DIR}/tests/training/train ${CMAKE_BINARY_DIR} ${FEDGATE_TRAINING}
  DEPENDS ${trained} tests/simulation/replay_run.cpp tests/training/train
  COMMENT "Training: an instrumented build, and the replay on it" USES_TERMINAL VERBATIM)
add_custom_target(training DEPENDS ${FEDGATE_TRAINING}/digest)

# For a layer; the sources' properties hold in the folder that calls this.
function(fedgate_use_training layer)
  set_source_files_properties(${ARGN} PROPERTIES OBJECT_DEPENDS ${FEDGATE_TRAINING}/digest
    COMPILE_OPTIONS "-fprofile-use=${FEDGATE_TRAINING}/profile;-fprofile-partial-training;-Wno-missing-profile")
  if(CCACHE)  # which does not find the profile by itself
    set_target_properties(${layer} PROPERTIES
      CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND};-E;env;CCACHE_EXTRAFILES=${FEDGATE_TRAINING}/digest;${CCACHE}")
  endif()
endfunction()
