// Counts the bytes of the GPU buffers that a page creates, since browsers don't report GPU memory.

export interface GpuMemory {
  now: number;
  peak: number;
}

/** Start counting. Must be called before any device is requested. */
export function countGpuMemory(): GpuMemory {
  const memory: GpuMemory = { now: 0, peak: 0 };
  if (typeof GPUDevice === 'undefined') return memory;
  const sizes = new WeakMap<GPUBuffer, number>();
  /* eslint-disable @typescript-eslint/unbound-method -- each method is called on its own object */
  const create = GPUDevice.prototype.createBuffer;
  const destroy = GPUBuffer.prototype.destroy;
  /* eslint-enable @typescript-eslint/unbound-method */
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = create.call(this, descriptor);
    sizes.set(buffer, descriptor.size);
    memory.now += descriptor.size;
    memory.peak = Math.max(memory.peak, memory.now);
    return buffer;
  };
  GPUBuffer.prototype.destroy = function () {
    memory.now -= sizes.get(this) ?? 0;
    sizes.delete(this);
    destroy.call(this);
  };
  return memory;
}
