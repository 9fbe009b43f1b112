"""The demo's departments, licence types and kinds of service item. Codes have valid check characters; nobody bears them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from console.demo.digits import credit_codes, texts

CITIZEN: Final = "111"
"""Kind of holder number: a citizen id."""
COMPANY: Final = "001"
"""Kind of holder number: a unified social credit code."""


@dataclass(frozen=True, slots=True)
class Agency:
    """A department: ``code`` is the hub's short one, ``number`` its two digits in item codes."""

    code: str
    name: str
    number: int
    credit_code: str


@dataclass(frozen=True, slots=True)
class LicenceKind:
    """A licence type of the district's store. ``years`` 0: valid for ever."""

    code: str
    name: str
    agency: Agency
    holder: str
    years: int
    letters: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What a group of service items is about: who applies, and the licences its materials accept beside the base one."""

    name: str
    agency: Agency
    holder: str
    accepts: tuple[str, ...]


_NAMES: Final = (
    ("centre", "信息中心"),
    ("market_supervision", "曲江区市场监督管理局"),
    ("public_security", "曲江区公安分局"),
    ("civil_affairs", "曲江区民政局"),
    ("human_resources", "曲江区人力资源和社会保障局"),
    ("natural_resources", "曲江区自然资源局"),
    ("housing", "曲江区住房和城乡建设管理局"),
    ("health", "曲江区卫生健康局"),
    ("education", "曲江区教育局"),
    ("transport", "曲江区交通运输局"),
    ("agriculture", "曲江区农业农村局"),
    ("disabled_federation", "曲江区残疾人联合会"),
    ("government_services", "曲江区政务服务数据管理局"),
)


def _agencies() -> dict[str, Agency]:
    codes = texts(credit_codes(np.arange(1, len(_NAMES) + 1), prefix=b"11", letters=b"MBQJ")).to_pylist()
    return {
        code: Agency(code, name, number, credit)
        for number, ((code, name), credit) in enumerate(zip(_NAMES, codes, strict=True), start=1)
    }


AGENCIES: Final = MappingProxyType(_agencies())


def _townships() -> tuple[Agency, ...]:
    names = (("maba", "马坝镇人民政府"), ("zhangshi", "樟市镇人民政府"))
    first = len(_NAMES) + 1
    codes = texts(credit_codes(np.arange(first, first + len(names)), prefix=b"11", letters=b"MBQJ")).to_pylist()
    return tuple(
        Agency(code, name, number, credit)
        for number, ((code, name), credit) in enumerate(zip(names, codes, strict=True), start=first)
    )


TOWNSHIPS: Final = _townships()
"""Townships that perform some items of the district themselves."""

_LICENCES: Final = (
    ("居民身份证", "public_security", CITIZEN, 20, "SF"),
    ("营业执照", "market_supervision", COMPANY, 0, "YY"),
    ("居民户口簿", "public_security", CITIZEN, 0, "HK"),
    ("机动车驾驶证", "public_security", CITIZEN, 10, "JS"),
    ("结婚证", "civil_affairs", CITIZEN, 0, "JH"),
    ("残疾人证", "disabled_federation", CITIZEN, 10, "CJ"),
    ("社会保障卡", "human_resources", CITIZEN, 10, "SB"),
    ("不动产权证书", "natural_resources", CITIZEN, 0, "BD"),
    ("从业人员健康证明", "health", CITIZEN, 1, "JK"),
    ("出生医学证明", "health", CITIZEN, 0, "CS"),
    ("特种设备作业人员证", "market_supervision", CITIZEN, 4, "TZ"),
    ("道路运输从业资格证", "transport", CITIZEN, 6, "DL"),
    ("食品经营许可证", "market_supervision", COMPANY, 5, "SP"),
    ("食品生产许可证", "market_supervision", COMPANY, 5, "SC"),
    ("药品经营许可证", "market_supervision", COMPANY, 5, "YP"),
    ("医疗器械经营许可证", "market_supervision", COMPANY, 5, "YL"),
    ("特种设备使用登记证", "market_supervision", COMPANY, 0, "TS"),
    ("公共场所卫生许可证", "health", COMPANY, 4, "WS"),
    ("道路运输经营许可证", "transport", COMPANY, 4, "YS"),
    ("建筑业企业资质证书", "housing", COMPANY, 5, "JZ"),
    ("城镇污水排入排水管网许可证", "housing", COMPANY, 5, "PS"),
    ("民办学校办学许可证", "education", COMPANY, 6, "MB"),
    ("动物防疫条件合格证", "agriculture", COMPANY, 0, "DF"),
    ("农药经营许可证", "agriculture", COMPANY, 5, "NY"),
)


def _kinds() -> dict[str, LicenceKind]:
    kinds = {}
    for number, (name, agency, holder, years, letters) in enumerate(_LICENCES, start=1):
        owner = AGENCIES[agency]
        kinds[name] = LicenceKind(f"{owner.credit_code}{number:03d}", name, owner, holder, years, letters)
    return kinds


KINDS: Final = MappingProxyType(_kinds())
BASE: Final = MappingProxyType({CITIZEN: KINDS["居民身份证"], COMPANY: KINDS["营业执照"]})
"""The licence that every holder in the store has."""

_SUBJECTS: Final = (
    ("食品经营许可", "market_supervision", COMPANY, ("食品经营许可证",)),
    ("食品生产许可", "market_supervision", COMPANY, ("食品生产许可证",)),
    ("药品零售企业许可", "market_supervision", COMPANY, ("药品经营许可证",)),
    ("医疗器械经营备案", "market_supervision", COMPANY, ("医疗器械经营许可证", "药品经营许可证")),
    ("特种设备使用登记", "market_supervision", COMPANY, ("特种设备使用登记证",)),
    ("企业登记", "market_supervision", COMPANY, ()),
    ("广告发布登记", "market_supervision", COMPANY, ()),
    ("计量标准器具核准", "market_supervision", COMPANY, ()),
    ("个体工商户登记", "market_supervision", CITIZEN, ("不动产权证书", "结婚证")),
    ("食品小作坊登记", "market_supervision", CITIZEN, ("从业人员健康证明", "不动产权证书")),
    ("特种设备作业人员资格认定", "market_supervision", CITIZEN, ("特种设备作业人员证",)),
    ("食品摊贩登记", "market_supervision", CITIZEN, ("从业人员健康证明", "残疾人证")),
    ("户口登记", "public_security", CITIZEN, ("居民户口簿", "结婚证")),
    ("机动车登记", "public_security", CITIZEN, ("机动车驾驶证",)),
    ("旅馆业特种行业许可", "public_security", COMPANY, ("公共场所卫生许可证",)),
    ("出生登记", "public_security", CITIZEN, ("出生医学证明", "结婚证")),
    ("社会救助", "civil_affairs", CITIZEN, ("居民户口簿", "残疾人证")),
    ("养老服务备案", "civil_affairs", COMPANY, ()),
    ("收养登记", "civil_affairs", CITIZEN, ("结婚证",)),
    ("就业创业扶持", "human_resources", CITIZEN, ("社会保障卡",)),
    ("劳务派遣经营许可", "human_resources", COMPANY, ()),
    ("人力资源服务许可", "human_resources", COMPANY, ()),
    ("不动产登记", "natural_resources", CITIZEN, ("不动产权证书", "结婚证")),
    ("建设用地规划许可", "natural_resources", COMPANY, ()),
    ("采矿权登记", "natural_resources", COMPANY, ()),
    ("建筑工程施工许可", "housing", COMPANY, ("建筑业企业资质证书",)),
    ("排水许可", "housing", COMPANY, ("城镇污水排入排水管网许可证",)),
    ("公租房申请", "housing", CITIZEN, ("居民户口簿", "不动产权证书")),
    ("公共场所卫生许可", "health", COMPANY, ("公共场所卫生许可证",)),
    ("医师执业注册", "health", CITIZEN, ()),
    ("生育登记", "health", CITIZEN, ("结婚证", "居民户口簿")),
    ("民办学校设立", "education", COMPANY, ("民办学校办学许可证",)),
    ("教师资格认定", "education", CITIZEN, ()),
    ("入学申请", "education", CITIZEN, ("居民户口簿", "出生医学证明")),
    ("道路货物运输经营许可", "transport", COMPANY, ("道路运输经营许可证",)),
    ("道路运输从业资格认定", "transport", CITIZEN, ("道路运输从业资格证", "机动车驾驶证")),
    ("客运班线经营许可", "transport", COMPANY, ("道路运输经营许可证",)),
    ("动物防疫条件审查", "agriculture", COMPANY, ("动物防疫条件合格证",)),
    ("农药经营许可", "agriculture", COMPANY, ("农药经营许可证",)),
    ("农村宅基地审批", "agriculture", CITIZEN, ("居民户口簿",)),
    ("残疾人证办理", "disabled_federation", CITIZEN, ("残疾人证",)),
    ("残疾人补贴", "disabled_federation", CITIZEN, ("残疾人证", "社会保障卡")),
)

SUBJECTS: Final = tuple(Subject(name, AGENCIES[agency], holder, accepts) for name, agency, holder, accepts in _SUBJECTS)
ACTIONS: Final = ("新办", "变更", "延续", "补办", "注销", "备案", "年度报告")
