// Chinese: a bare file, opened without a manifest.
import type { Dictionary } from '../shape';

export const bare: Dictionary['bare'] = {
  label: '单独的文件',
  unproven:
    '未经校验：单独的文件没有摘要，无法证明这些字节就是当初导出的内容；名称和来源只是文件自称，保真度也无从得知。',
  plain:
    '这是普通计算图：每生成一个词元都要重读整段文本，不能关闭注意力头，也只给出导出时选定的激活。要用其余功能，请打开它的 manifest.json 或 .open.onnx 文件（较早的导出为 .interactive.onnx）。',
  decoder:
    '这是解码器计算图，其他程序也能打开，但不能关闭注意力头。要关闭注意力头，请打开它的 manifest.json 或 .open.onnx 文件。Logit lens 只有通过 manifest.json 才能打开。',
  open: 'Logit lens 只有通过 manifest.json 才能打开。',
  static:
    '这是供 WebGPU 使用的静态计算图，缓存长度固定；更长的文本请打开 .open.onnx 文件，查看 logit lens 请打开 manifest.json。',
  interactive: 'Logit lens 只有通过 manifest.json 才能打开。',
  source: '未知',
  claimed: (source) => `${source}（文件自称）`,
  digest: '未经校验',
  digestMeaning: '单独的文件没有摘要',
  onDevice: '读自本设备',
};
