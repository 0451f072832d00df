/* How many blocks of a kernel a multiprocessor holds, by NVIDIA's own rules (cuda_occupancy.h, which needs no GPU).
 * Reads lines "ARCHITECTURE REGISTERS SHARED_BYTES THREADS" and prints one number for each: active warps over the most
 * there can be. */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cuda_occupancy.h>

static const struct {
    int architecture;
    size_t shared;
} known[] = {{80, 164 << 10}, {86, 100 << 10}, {89, 100 << 10}, {90, 228 << 10}, {100, 228 << 10}};

static bool device_of(int architecture, struct cudaOccDeviceProp *out) {
    memset(out, 0, sizeof *out);
    for (size_t m = 0; m < sizeof known / sizeof *known; m++)
        if (known[m].architecture == architecture) {
            out->computeMajor = architecture / 10;
            out->computeMinor = architecture % 10;
            out->maxThreadsPerBlock = 1024;
            out->maxThreadsPerMultiprocessor = architecture == 86 || architecture == 89 ? 1536 : 2048;
            out->regsPerBlock = out->regsPerMultiprocessor = 65536;
            out->warpSize = 32;
            out->sharedMemPerBlock = 48 << 10;
            out->sharedMemPerMultiprocessor = known[m].shared;
            out->sharedMemPerBlockOptin = known[m].shared - (1 << 10);
            out->reservedSharedMemPerBlock = 1 << 10;
            out->numSms = 1;
            return true;
        }
    return false;
}

int main(void) {
    int architecture, registers, threads;
    size_t shared;
    while (scanf("%d %d %zu %d", &architecture, &registers, &shared, &threads) == 4) {
        struct cudaOccDeviceProp device;
        struct cudaOccFuncAttributes function = {.maxThreadsPerBlock = 1024,
                                                 .numRegs = registers,
                                                 .sharedSizeBytes = shared,
                                                 .partitionedGCConfig = PARTITIONED_GC_OFF,
                                                 .shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN,
                                                 .maxDynamicSharedSizeBytes = 0};
        struct cudaOccDeviceState state = {.cacheConfig = CACHE_PREFER_NONE,
                                           .carveoutConfig = SHAREDMEM_CARVEOUT_DEFAULT};
        struct cudaOccResult result;
        if (!device_of(architecture, &device) ||
            cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &function, &state, threads, 0) !=
                CUDA_OCC_SUCCESS) {
            printf("nan\n");
            continue;
        }
        const int warps = (threads + 31) / 32;
        printf("%.3f\n", (double)(result.activeBlocksPerMultiprocessor * warps) /
                             (device.maxThreadsPerMultiprocessor / 32));
    }
    return 0;
}
