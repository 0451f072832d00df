# spack repo add tools/packaging/spack; spack dev-build epflow@main   (in a checkout)
from spack.package import CMakePackage, CudaPackage, conflicts, depends_on, license, requires, variant, version


class Epflow(CMakePackage, CudaPackage):
    """Entropy production and probability currents of many-particle systems: simulates active particles, learns the
    score of their stationary density, and certifies the entropy production of every one."""

    license("BSD-3-Clause")

    version("main")

    variant("cuda", default=False, description="GPUs of compute capability 8.0 and later")
    variant("tests", default=False, description="Builds the tests")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+cuda")
    depends_on("cmake@3.22:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi@3:")
    depends_on("hdf5@1.10:1.14+mpi")
    depends_on("libyaml")
    depends_on("openblas")
    depends_on("random123")
    depends_on("cmocka", when="+tests")
    depends_on("cuda@12:", when="+cuda")
    depends_on("nccl", when="+cuda")

    requires("target=x86_64_v3:", msg="epflow needs AVX2 and FMA")
    conflicts("cuda_arch=none", when="+cuda", msg="name the GPUs: cuda_arch=80, 90, ...")

    def cmake_args(self):
        args = [
            self.define_from_variant("BUILD_TESTING", "tests"),
            self.define("MPI_C_COMPILER", self.spec["mpi"].mpicc),
        ]
        if self.spec.satisfies("+cuda"):
            args.append(self.define("CMAKE_CUDA_ARCHITECTURES", ";".join(self.spec.variants["cuda_arch"].value)))
        else:
            args.append(self.define("CMAKE_CUDA_COMPILER", "NOTFOUND"))
            args.append(self.define("CMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit", True))
        return args
