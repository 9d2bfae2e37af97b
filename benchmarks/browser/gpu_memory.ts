// Bytes of GPU buffers that a page holds, as it asks for them: browsers tell nobody what a GPU holds.

export interface GpuMemory {
  now: number;
  peak: number;
}

/** Count from now on. Call before any device is asked for. */
export function countGpuMemory(): GpuMemory {
  const memory: GpuMemory = { now: 0, peak: 0 };
  if (typeof GPUDevice === 'undefined') return memory;
  const sizes = new WeakMap<GPUBuffer, number>();
  /* eslint-disable @typescript-eslint/unbound-method -- called on the object that they were called on */
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
