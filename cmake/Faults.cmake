# epflow_faults(TARGET): calls of this program that allocate or touch files can be made to fail (src/base/fault.h).
# Calls that libraries make are not redirected.
set(epflow_fault_calls
    malloc calloc realloc aligned_alloc strdup asprintf yaml_parser_initialize yaml_parser_load yaml_parser_scan
    fopen fread fclose fsync link rename unlink access mkdir stat open fflush fwrite
    H5Fcreate H5Fopen H5Fclose H5Fflush H5Dread H5Dwrite H5Aclose H5Dclose H5Gclose H5Oclose H5Dcreate2 H5Gcreate2
    H5Acreate2 H5Lcreate_hard H5Awrite H5Aread H5Dopen2 H5Gopen2 H5Oopen H5Aopen H5Aopen_by_name H5Aexists
    H5Aexists_by_name H5Lexists H5Oexists_by_name H5Fis_hdf5 H5Aiterate2 H5Literate H5Lvisit H5Dget_space H5Dget_type
    H5Aget_space H5Aget_type H5Pcreate H5Screate H5Screate_simple H5Tcopy H5Sselect_hyperslab H5Sselect_none
    H5Pset_fapl_mpio H5Pset_dxpl_mpio)

function(epflow_faults target)
  target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src/base/fault.c ${CMAKE_SOURCE_DIR}/src/io/h5_fault.c)
  target_link_libraries(${target} PRIVATE hdf5_parallel PkgConfig::YAML)
  list(TRANSFORM epflow_fault_calls PREPEND "-Wl,--wrap=" OUTPUT_VARIABLE options)
  target_link_options(${target} PRIVATE ${options})
endfunction()
