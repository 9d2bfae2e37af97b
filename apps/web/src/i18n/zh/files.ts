// Chinese: the visitor’s own files.
import type { Dictionary } from '../shape';

export const files: Dictionary['files'] = {
  open: '打开文件…',
  title: '打开你自己的模型',
  caption:
    '可以是 Oriel 导出或发布的模型文件夹，也可以是单独的 .onnx 文件，连同它的 .onnx.data 和分词器文件。拖到页面任意位置，或在这里选择。',
  promise: '不会上传任何内容：文件只在这个标签页里读取，不会离开本设备。',
  choose: '选择文件',
  chooseFolder: '选择文件夹',
  close: '关闭',
  drop: '松开即可在这里打开模型',
  looking: '正在查看这些文件…',
  saveTitle: '保存当前模型的计算图',
  saveCaption: (weights) =>
    [
      '一个 ONNX 文件，包含当前打开的全部内容，节点按计算顺序排列，可用 Netron 或其他运行时打开。',
      ...(weights.length === 0
        ? []
        : [`文件中不含权重：权重从同一文件夹里的 ${weights.join('、')} 读取。`]),
    ].join(''),
  save: '保存此计算图',
  onDevice: (name) => `${name} · 在本设备上`,
};
