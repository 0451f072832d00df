# epflow_layer(NAME [SOURCES ...] [AVX512 ...] [HEADERS folder/name.h ...] [USES layer ...] [LINKS target ...])
#
# One library per folder of src/. A layer sees its own headers and those of the layers it uses, and
# nothing else: headers are reached through a folder of links made for each layer, so an include
# that the architecture does not allow fails to compile. HEADERS limits a layer to some headers of
# its folder (space/comm.h is a layer of its own because io may use it and nothing else of space).
#
# Every layer is built twice from the same sources: NAME in float32, and NAME64 with
# EPFLOW_FLOAT64, which the tests compare with float64 reference data.
#
# AVX512: sources that are compiled once more for processors that have it, with LOOPS=avx512, by which they tell
# their names apart (ops/network_loops.h). The program asks the processor before it calls them.
set(epflow_avx512 -march=x86-64-v4 -mprefer-vector-width=512)

function(epflow_layer name)
  cmake_parse_arguments(LAYER "" "FOLDER" "SOURCES;AVX512;HEADERS;USES;LINKS" ${ARGN})
  if(NOT LAYER_FOLDER)
    set(LAYER_FOLDER ${name})
  endif()
  set(root ${CMAKE_BINARY_DIR}/include/${name})
  file(REMOVE_RECURSE ${root})
  if(LAYER_HEADERS)
    file(MAKE_DIRECTORY ${root}/${LAYER_FOLDER})
    foreach(header ${LAYER_HEADERS})
      file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${LAYER_FOLDER}/${header}
           ${root}/${LAYER_FOLDER}/${header} SYMBOLIC)
    endforeach()
  else()
    file(MAKE_DIRECTORY ${root})
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${LAYER_FOLDER} ${root}/${LAYER_FOLDER} SYMBOLIC)
  endif()
  list(TRANSFORM LAYER_SOURCES PREPEND ${LAYER_FOLDER}/)
  list(TRANSFORM LAYER_AVX512 PREPEND ${LAYER_FOLDER}/)
  foreach(width "" 64)
    add_library(${name}${width} STATIC ${LAYER_SOURCES})
    target_include_directories(${name}${width} PUBLIC ${root})
    list(TRANSFORM LAYER_USES APPEND "${width}" OUTPUT_VARIABLE uses)
    target_link_libraries(${name}${width} PUBLIC ${uses} PRIVATE ${LAYER_LINKS})
    if(LAYER_AVX512)
      add_library(${name}_avx512${width} OBJECT ${LAYER_AVX512})
      target_include_directories(${name}_avx512${width} PRIVATE ${root})
      target_link_libraries(${name}_avx512${width} PRIVATE ${uses} ${LAYER_LINKS})
      target_compile_options(${name}_avx512${width} PRIVATE ${epflow_avx512})
      target_compile_definitions(${name}_avx512${width} PRIVATE LOOPS=avx512)
      target_sources(${name}${width} PRIVATE $<TARGET_OBJECTS:${name}_avx512${width}>)
    endif()
  endforeach()
  target_compile_definitions(${name}64 PUBLIC EPFLOW_FLOAT64)
endfunction()
