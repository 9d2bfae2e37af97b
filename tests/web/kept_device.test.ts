// The GPU's device stays from one session to the next, until released sessions have left too much on it.
import { describe, expect, it } from 'vitest';
import { KeptDevice } from '../../apps/web/src/inference/kept_device';

const mebibyte = 2 ** 20;

/** A device that lives as long as one of its sessions is open, as the runtime's does. */
class Device {
  open = 0;
  ends = 0;

  make = (): Promise<{ release(): Promise<void> }> => {
    this.open += 1;
    return Promise.resolve({
      release: () => {
        this.open -= 1;
        if (this.open === 0) this.ends += 1;
        return Promise.resolve();
      },
    });
  };

  /** Open session after session of a model, each once the one before is released. */
  async openInTurn(kept: KeptDevice, times: number, bytes: number): Promise<void> {
    for (let turn = 0; turn < times; turn++) {
      await kept.endIfFull();
      const session = await this.make();
      await kept.keep();
      await session.release();
      kept.count(bytes);
    }
  }
}

describe('KeptDevice', () => {
  it('keeps one device for the sessions of a small model', async () => {
    const device = new Device();
    const kept = new KeptDevice(await device.make(), device.make);
    await device.openInTurn(kept, 20, 10 * mebibyte);
    expect(device).toMatchObject({ ends: 0, open: 1 });
  });

  it('ends a device on which more than 256 MiB were left, and keeps the next one', async () => {
    const device = new Device();
    const kept = new KeptDevice(await device.make(), device.make);
    await device.openInTurn(kept, 3, 100 * mebibyte);
    expect(device.ends).toBe(0);
    await device.openInTurn(kept, 1, 100 * mebibyte);
    expect(device).toMatchObject({ ends: 1, open: 1 });
    await device.openInTurn(kept, 2, 100 * mebibyte);
    expect(device.ends).toBe(1);
  });

  it('never has a large model on a device twice', async () => {
    const device = new Device();
    const kept = new KeptDevice(await device.make(), device.make);
    await device.openInTurn(kept, 4, 300 * mebibyte);
    expect(device).toMatchObject({ ends: 3, open: 1 });
  });
});
