"""A made-up catalogue for the line ``registry``: titles and fields as districts have them, the same ones in each run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

FIELDS: Final = 15
"""Fields of each resource."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ABOUT: Final = _words(
    "企业 个体工商户 食品经营 药品零售 医疗机构 医师 护士 学校 教师 学生 婚姻 低保 特困人员 残疾人 养老机构 "
    "社会组织 慈善 房屋 不动产 土地 建设工程 施工许可 物业 公积金 住房保障 道路运输 网约车 驾驶员 车辆 船舶 "
    "港口 农业 种子 农药 兽药 林木 渔业 水利 取水 排污 环评 危险废物 气象 地震 消防 安全生产 特种设备 "
    "计量 标准 专利 商标 广告 价格 统计 税务 社保 医保 就业 失业 劳动监察 人才 户籍 居住证 出入境 边防 "
    "旅馆 娱乐场所 文物 图书馆 体育 旅游 广播 电影 出版 民族 宗教 侨务 "
)
_WHAT: Final = _words(
    "营业执照 许可证 资格证 登记 备案 年报 行政处罚 监督检查 抽检结果 信用评价 变更 注销 补贴发放 缴费 "
    "投诉举报 名录 台账 申请 审批结果 证书 从业人员 设施 合同 资金 统计 "
)
_KIND: Final = _words("信息 数据 基本信息 明细 清单 汇总表 目录 ")
_FIELD_OF: Final = _words(
    "单位 法定代表人 经营者 申请人 负责人 许可 证书 登记 备案 检查 处罚 评价 发放 缴费 投诉 地址 联系 "
    "经营 有效期 审批 机构 人员 项目 设备 合同 账户 行政区划 业务 受理 办结 "
)
_FIELD_IS: Final = _words("名称 编号 代码 类型 日期 状态 金额 数量 起始日期 截止日期 说明 结果 机关 等级 备注 来源 时间 范围 ")
_ABSTRACT: Final = "{about}{what}的情况，由{provider}在办理业务时产生，按{cycle}更新，供有关部门核验使用。"
_CYCLES: Final = ("3", "3", "5", "5", "5", "6", "8", "2", "1")
_FORMATS: Final = ("数据库", "数据库", "数据库", "电子表格", "电子文件", "图形图像")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_OFFICES: Final = _words(
    "发展和改革局 教育局 公安局 民政局 司法局 财政局 人力资源和社会保障局 自然资源局 生态环境局 住房和城乡建设局 交通运输局 "
    "水务局 农业农村局 文化广电旅游局 卫生健康局 应急管理局 市场监督管理局 统计局 医疗保障局 政务服务数据管理局"
)
PROVIDERS: Final = tuple(f"{area}{office}" for area in ("区", "城北镇", "城南街道") for office in _OFFICES)


@dataclass(frozen=True, slots=True)
class Made:
    """One resource: its contract's and its entry's words."""

    name: str
    title: str
    department: str
    state: str
    entry: dict[str, Any]


def mixed(n: int, salt: int) -> int:
    """Return a number that looks like chance and is the same each time."""
    x = (n * 2654435761 + salt * 40503) & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 2246822519 & 0xFFFFFFFF
    return x ^ (x >> 13)


def made(count: int) -> Iterator[Made]:
    """Yield the resources: one of fifty is not shared, one of a hundred is not published."""
    for n in range(count):
        about, what = _ABOUT[mixed(n, 1) % len(_ABOUT)], _WHAT[mixed(n, 2) % len(_WHAT)]
        title = f"{about}{what}{_KIND[mixed(n, 3) % len(_KIND)]}"
        provider = mixed(n, 4) % len(PROVIDERS)
        cycle = _CYCLES[mixed(n, 5) % len(_CYCLES)]
        kind = "3" if n % 50 == 7 else "1" if mixed(n, 6) % 4 else "2"
        prefix = f"{1 + mixed(n, 7) % 3}{mixed(n, 8) % 14 + 1:02d}{mixed(n, 9) % 40 + 1:03d}"
        fields: list[dict[str, Any]] = []
        for i in range(FIELDS):
            of, is_ = _FIELD_OF[mixed(n, 20 + i) % len(_FIELD_OF)], _FIELD_IS[mixed(n, 50 + i) % len(_FIELD_IS)]
            letters = _LETTERS[mixed(n, 80 + i) % 26] + _LETTERS[mixed(n, 90 + i) % 26]
            field: dict[str, Any] = {"name": f"{letters}_{i}", "title": of + is_, "data_type": "字符型", "sensitivity": 1}
            fields.append(field | ({"primary_key": True} if i == 0 else {}))
        entry: dict[str, Any] = {
            "classification": prefix,
            "code": f"{prefix}/{n + 1:06d}",
            "title": title,
            "provider": PROVIDERS[provider],
            "provider_code": "91110000101623741K",
            "abstract": _ABSTRACT.format(about=about, what=what, provider=PROVIDERS[provider], cycle=cycle),
            "format": _FORMATS[mixed(n, 10) % len(_FORMATS)],
            "fields": fields,
            "sharing_type": kind,
            "open": False,
            "update_cycle": cycle,
            "published_on": "2026-10-08",
            "channel": "1",
            "secrecy": "非涉密",
            "level": "县级",
            "region": "440205",
        }
        if kind == "3":
            entry |= {"sharing_basis_kind": "1", "sharing_basis": "某法第十条"}
        else:
            entry |= {"sharing_ways": ["接口"]} | ({"sharing_condition": "用于办理行政许可"} if kind == "2" else {})
        yield Made(f"r{n:06d}", title, f"d{provider:03d}", "submitted" if n % 100 == 13 else "published", entry)
